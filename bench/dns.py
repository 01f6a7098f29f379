"""A name server for benchmarks: every question for an address has one answer, any other none."""

import socket
import struct
import threading


class Dns(threading.Thread):
    """Answers what `address(name)` says, for the name in dots."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def run(self):
        while True:
            question, client = self.socket.recvfrom(4096)
            labels, end = [], 12
            while length := question[end]:
                labels.append(question[end + 1 : end + 1 + length].decode())
                end += length + 1
            end += 5
            is_address = struct.unpack(">H", question[end - 4 : end - 2])[0] == 1
            answer = question[:2] + struct.pack(">HHHHH", 0x8580, 1, int(is_address), 0, 0) + question[12:end]
            if is_address:
                answer += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 300, 4)
                answer += socket.inet_aton(self.address(".".join(labels)))
            self.socket.sendto(answer, client)
