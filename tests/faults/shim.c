/* Calls of the system that fail when they are told to: loaded before the library of C, silent until it is armed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char below[4096], call[32];
static int wanted, error_number, lasting, seen;

/* The n-th call of this kind on a file below a folder fails, and with `for_ever` all later ones; 0 disarms. */
void faults_arm(const char *folder, const char *kind, int n, int error, int for_ever) {
    snprintf(below, sizeof below, "%s", folder);
    snprintf(call, sizeof call, "%s", kind);
    wanted = n, error_number = error, lasting = for_ever, seen = 0;
}

/* How many calls of this kind there were. */
int faults_seen(void) { return seen; }

static int fails(const char *kind, const char *path) {
    if (!wanted || strcmp(kind, call) || strncmp(path, below, strlen(below))) return 0;
    int now = __sync_add_and_fetch(&seen, 1);
    if (now != wanted && !(lasting && now > wanted)) return 0;
    errno = error_number;
    return 1;
}

static int fails_at(const char *kind, int handle) {
    char link[64], path[4096];
    if (!wanted || strcmp(kind, call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(kind, path);
}

#define NEXT(result, name, ...) \
    static result (*next)(__VA_ARGS__); \
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, name)

ssize_t write(int handle, const void *data, size_t size) {
    NEXT(ssize_t, "write", int, const void *, size_t);
    if (fails_at("short", handle)) return next(handle, data, (size + 1) / 2);
    return fails_at("write", handle) ? -1 : next(handle, data, size);
}
ssize_t pwrite(int handle, const void *data, size_t size, off_t place) {
    NEXT(ssize_t, "pwrite", int, const void *, size_t, off_t);
    return fails_at("write", handle) ? -1 : next(handle, data, size, place);
}
ssize_t pwrite64(int handle, const void *data, size_t size, off64_t place) {
    NEXT(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return fails_at("write", handle) ? -1 : next(handle, data, size, place);
}
int close(int handle) {
    NEXT(int, "close", int);
    if (!fails_at("close", handle)) return next(handle);
    next(handle);
    errno = error_number;
    return -1;
}
int fsync(int handle) {
    NEXT(int, "fsync", int);
    return fails_at("fsync", handle) ? -1 : next(handle);
}
int ftruncate(int handle, off_t size) {
    NEXT(int, "ftruncate", int, off_t);
    return fails_at("ftruncate", handle) ? -1 : next(handle, size);
}
int ftruncate64(int handle, off64_t size) {
    NEXT(int, "ftruncate64", int, off64_t);
    return fails_at("ftruncate", handle) ? -1 : next(handle, size);
}
int flock(int handle, int how) {
    NEXT(int, "flock", int, int);
    return fails_at("flock", handle) ? -1 : next(handle, how);
}
int rename(const char *from, const char *to) {
    NEXT(int, "rename", const char *, const char *);
    return fails("rename", to) ? -1 : next(from, to);
}
int mkdir(const char *path, mode_t mode) {
    NEXT(int, "mkdir", const char *, mode_t);
    return fails("mkdir", path) ? -1 : next(path, mode);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        NEXT(int, #name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (flags & (O_WRONLY | O_RDWR | O_CREAT) && fails("open", path)) return -1; \
        return next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
