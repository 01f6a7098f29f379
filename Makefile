# What people type. Each target installs the Debian packages that it lacks, when it may.

CARGO ?= cargo

.PHONY: run demo test soak bench bench-flights bench-slow-host bench-object-cache bench-directory bench-resolve fuzz lint build

build:
	@scripts/packages.sh gcc libc6-dev
	$(CARGO) build --release --locked

# Starts Remuda with ./remuda.toml, or the embedded default (SMTP 127.0.0.1:2525, admin 127.0.0.1:8025).
run: build
	target/release/remuda serve

# A small internet on loopback in one process, about 20 seconds.
demo: build
	target/release/remuda demo

# Everything that proves Remuda, reduced to minutes.
test:
	@scripts/packages.sh gcc libc6-dev postfix libsasl2-modules swaks libnet-ssleay-perl python3 sqlite3 dovecot-core dovecot-lmtpd postgresql
	@scripts/peers.sh exim4-daemon-light opensmtpd
	$(CARGO) test --workspace --locked
	$(CARGO) test -p remuda-object-cache --features shuttle --test races --locked

# The same in full, and half an hour at receivers that misbehave: hours.
soak: build
	@scripts/packages.sh gcc libc6-dev postfix libsasl2-modules swaks libnet-ssleay-perl python3 sqlite3 dovecot-core dovecot-lmtpd postgresql
	@scripts/peers.sh exim4-daemon-light opensmtpd
	REMUDA_SOAK=1 $(CARGO) test --workspace --locked --release -- --nocapture --test-threads=1
	python3 bench/soak.py

# Remuda beside Postfix on this machine, with ratios.
bench: build
	@scripts/packages.sh postfix linux-perf strace swaks python3
	bench/run.sh

# Round trips per message at a receiver far away, beside Postfix.
bench-flights: build
	@scripts/packages.sh postfix python3
	python3 bench/flights.py

# Equal hosts of which one is slow, dead or small, beside Postfix: an hour and a half.
bench-slow-host: build
	@scripts/packages.sh postfix python3
	python3 bench/slow_host.py

# The directory under change by API and SQL, and under an import of 100,000, on SQLite and PostgreSQL: four minutes.
bench-directory: build
	@scripts/packages.sh postfix python3 sqlite3 postgresql
	python3 bench/directory.py

# What a look-up in the object cache costs, beside moka and quick_cache.
bench-object-cache:
	@scripts/packages.sh gcc libc6-dev
	$(CARGO) bench -p remuda-object-cache --bench object_cache --locked

# What it costs to find who a recipient is, from memory.
bench-resolve:
	@scripts/packages.sh gcc libc6-dev
	$(CARGO) bench -p remuda-directory --bench resolve --locked

# Ten minutes each; FUZZ_SECONDS=60 for less.
fuzz:
	@scripts/packages.sh gcc g++ libc6-dev
	fuzz/run.sh

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
