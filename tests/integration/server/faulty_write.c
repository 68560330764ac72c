/* Loaded before the C library: while the file FAULT_FLAG names exists, writes to audit.log fail as its content says.
   A number is an errno; "short" takes half of the bytes, and nothing of what is left; "full:SIZE" lets the file grow beyond SIZE by no
   more than what its reserve gave up. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "/audit.log"
#define RESERVE "/.audit.log.reserve"
#define RESERVE_BYTES (1024 * 1024)
#define RECORD_MIN 200 /* what is left of a short write is shorter than any record */

/* The folder of the audit log goes to `path` if that is what the file is. */
static int names_audit_log(int file, char *path, size_t room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, room - 1);
    if (length < (ssize_t)strlen(NAME))
        return 0;
    path[length] = 0;
    path += length - strlen(NAME);
    if (strcmp(path, NAME) != 0)
        return 0;
    *path = 0;
    return 1;
}

static int fits(int file, const char *folder, size_t size, long full) {
    struct stat log, reserve;
    char path[600];
    snprintf(path, sizeof path, "%s%s", folder, RESERVE);
    if (fstat(file, &log) || stat(path, &reserve))
        return 0;
    return log.st_size + (long)size <= full + RESERVE_BYTES - reserve.st_size;
}

ssize_t write(int file, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    char fault[32] = {0}, folder[512];
    const char *flag = getenv("FAULT_FLAG");
    if (!real)
        real = dlsym(RTLD_NEXT, "write");
    int source = flag && names_audit_log(file, folder, sizeof folder) ? open(flag, O_RDONLY | O_CLOEXEC) : -1;
    if (source < 0)
        return real(file, data, size);
    ssize_t length = read(source, fault, sizeof fault - 1);
    close(source);
    if (length > 0 && fault[0] == 's') {
        if (size > RECORD_MIN)
            return real(file, data, size / 2);
        errno = ENOSPC;
    } else if (length > 0 && fault[0] == 'f') {
        if (fits(file, folder, size, atol(fault + strlen("full:"))))
            return real(file, data, size);
        errno = ENOSPC;
    } else {
        errno = atoi(fault);
    }
    return -1;
}
