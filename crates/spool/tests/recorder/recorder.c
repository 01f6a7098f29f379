/*
 * Records the disk calls of a process, and makes them fail on demand. Preloaded into the worker of the
 * crash tests; see tests/crash/main.rs.
 *
 * RECORDER_ROOT   only files below this directory are looked at
 * RECORDER_TRACE  where to write the records; absent = do not record
 * RECORDER_FAULT  a file whose first word says what fails now:
 *                   none | full (no growth) | sync (EIO) | write (EIO) | readonly (EROFS) | stall (sync waits)
 *
 * A record: op (1), 3 unused, fd (4), number (8), length (8), then `length` octets; host byte order.
 *   O open: number = 1 created | 2 truncated | 4 directory; octets = path below the root
 *   W write: number = offset; octets = data          T truncate: number = size
 *   S sync begins, E sync ended well: number = token U unlink: octets = path
 *   R rename: octets = old NUL new
 * Calls are recorded in the order in which they take effect: one lock is held over call and record, except
 * for syncs, which have a record at each end.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FDS 4096
#define RESERVE (8 << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char tracked[FDS];
static char is_reserve[FDS];
static int trace = -2;
static const char *root, *fault;
static uint64_t token;
/* Octets that the full disk has left: what was freed since it became full. */
static int64_t room;
static char was_full;

static void start(void) {
    if (trace != -2) return;
    root = getenv("RECORDER_ROOT");
    fault = getenv("RECORDER_FAULT");
    const char *path = getenv("RECORDER_TRACE");
    trace = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}

/* The path below the root, or NULL. */
static const char *below(const char *path) {
    start();
    if (!root || !path) return NULL;
    size_t length = strlen(root);
    if (strncmp(path, root, length) != 0) return NULL;
    if (path[length] == 0) return path + length;
    return path[length] == '/' ? path + length + 1 : NULL;
}

static void put(const void *data, size_t length) {
    const char *at = data;
    while (length > 0) {
        ssize_t done = syscall(SYS_write, trace, at, length);
        if (done <= 0) abort();
        at += done;
        length -= (size_t)done;
    }
}

static void record(char op, int fd, uint64_t number, const void *data, size_t length) {
    if (trace < 0) return;
    char head[24] = {0};
    uint32_t fd32 = (uint32_t)fd;
    uint64_t length64 = length;
    head[0] = op;
    memcpy(head + 4, &fd32, 4);
    memcpy(head + 8, &number, 8);
    memcpy(head + 16, &length64, 8);
    put(head, sizeof head);
    put(data, length);
}

/* The first letter of what fails now. */
static char failing(void) {
    start();
    char word = 'n';
    if (!fault) return word;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, fault, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        char read[2] = "n";
        if (syscall(SYS_read, fd, read, 2) == 2) word = read[1] == 'y' ? 's' : read[1] == 't' ? 't' : read[0];
        syscall(SYS_close, fd);
    }
    if (word == 'f' && !was_full) room = 0;
    was_full = word == 'f';
    return word;
}

static int is_tracked(int fd) { return fd >= 0 && fd < FDS && tracked[fd]; }

/* Says whether a write must fail, and how. */
static int refused(int fd, int64_t offset, size_t length) {
    switch (failing()) {
    case 'w': return EIO;
    case 'r': return EROFS;
    case 'f': {
        struct stat found;
        if (fstat(fd, &found) != 0) return 0;
        int64_t growth = offset + (int64_t)length - found.st_size;
        if (is_reserve[fd]) growth = RESERVE;
        if (growth <= 0) return 0;
        if (growth > room) return ENOSPC;
        room -= growth;
        return 0;
    }
    default: return 0;
    }
}

static int64_t place(int fd) {
    struct stat found;
    if ((fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &found) == 0) return found.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

static int do_open(int at, const char *path, int flags, mode_t mode) {
    const char *name = below(path);
    if (!name) {
        int fd = (int)syscall(SYS_openat, at, path, flags, mode);
        if (fd >= 0 && fd < FDS) tracked[fd] = 0;
        return fd;
    }
    if ((flags & (O_WRONLY | O_RDWR)) && failing() == 'r') {
        errno = EROFS;
        return -1;
    }
    pthread_mutex_lock(&lock);
    struct stat found;
    int was_there = stat(path, &found) == 0;
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    int saved = errno;
    if (fd >= 0 && fd < FDS && fstat(fd, &found) == 0) {
        uint64_t what = (!was_there ? 1 : 0) | (flags & O_TRUNC ? 2 : 0) | (S_ISDIR(found.st_mode) ? 4 : 0);
        tracked[fd] = 1;
        is_reserve[fd] = strstr(name, "spool.reserve") != NULL;
        record('O', fd, what, name, strlen(name));
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

static mode_t mode_of(int flags, va_list list) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; }

#define OPEN(NAME)                                       \
    int NAME(const char *path, int flags, ...) {         \
        va_list list;                                    \
        va_start(list, flags);                           \
        mode_t mode = mode_of(flags, list);              \
        va_end(list);                                    \
        return do_open(AT_FDCWD, path, flags, mode);     \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(NAME)                                     \
    int NAME(int at, const char *path, int flags, ...) { \
        va_list list;                                    \
        va_start(list, flags);                           \
        mode_t mode = mode_of(flags, list);              \
        va_end(list);                                    \
        return do_open(at, path, flags, mode);           \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    if (fd >= 0 && fd < FDS) tracked[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

ssize_t write(int fd, const void *data, size_t length) {
    if (!is_tracked(fd)) return syscall(SYS_write, fd, data, length);
    pthread_mutex_lock(&lock);
    int64_t offset = place(fd);
    int error = refused(fd, offset, length);
    ssize_t done = error ? -1 : syscall(SYS_write, fd, data, length);
    if (!error) error = errno;
    if (done > 0) record('W', fd, (uint64_t)offset, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static ssize_t do_pwrite(int fd, const void *data, size_t length, off_t offset) {
    if (!is_tracked(fd)) return syscall(SYS_pwrite64, fd, data, length, offset);
    pthread_mutex_lock(&lock);
    int error = refused(fd, offset, length);
    ssize_t done = error ? -1 : syscall(SYS_pwrite64, fd, data, length, offset);
    if (!error) error = errno;
    if (done > 0) record('W', fd, (uint64_t)offset, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return do_pwrite(fd, data, length, offset); }
ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) { return do_pwrite(fd, data, length, offset); }

static int do_truncate(int fd, off_t size) {
    if (!is_tracked(fd)) return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    char mode = failing();
    struct stat found = {0};
    fstat(fd, &found);
    int error = mode == 'w' ? EIO : mode == 'r' ? EROFS : 0;
    int done = error ? -1 : (int)syscall(SYS_ftruncate, fd, size);
    if (!error) error = errno;
    if (done == 0) {
        if (found.st_size > size) room += found.st_size - size;
        record('T', fd, (uint64_t)size, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int ftruncate(int fd, off_t size) { return do_truncate(fd, size); }
int ftruncate64(int fd, off_t size) { return do_truncate(fd, size); }

static int do_sync(int fd, long call) {
    if (!is_tracked(fd)) return (int)syscall(call, fd);
    while (failing() == 't') {
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
    if (failing() == 's') {
        errno = EIO;
        return -1;
    }
    pthread_mutex_lock(&lock);
    uint64_t mine = ++token;
    record('S', fd, mine, NULL, 0);
    pthread_mutex_unlock(&lock);
    /* What is recorded is durable by definition; the real disk need not be asked. */
    int done = trace >= 0 ? 0 : (int)syscall(call, fd);
    if (done == 0) {
        pthread_mutex_lock(&lock);
        record('E', fd, mine, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}
int fsync(int fd) { return do_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync); }

int unlink(const char *path) {
    const char *name = below(path);
    if (!name) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    int error = failing() == 'r' ? EROFS : 0;
    struct stat found = {0};
    stat(path, &found);
    int done = error ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!error) error = errno;
    if (done == 0) {
        room += found.st_size;
        record('U', -1, 0, name, strlen(name));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int rename(const char *from, const char *to) {
    const char *old = below(from), *new = below(to);
    if (!old || !new) return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    int error = errno;
    if (done == 0) {
        char both[2 * PATH_MAX];
        size_t length = strlen(old);
        memcpy(both, old, length + 1);
        strcpy(both + length + 1, new);
        record('R', -1, 0, both, length + 1 + strlen(new));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
