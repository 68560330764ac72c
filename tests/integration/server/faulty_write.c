/* Loaded before the C library: while the file FAULT_FLAG names exists, writes to audit.log fail as its content says.
   A number is an errno; "short" takes half of the bytes, and nothing of what is left. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "/audit.log"
#define RECORD_MIN 200 /* what is left of a short write is shorter than any record */

static int names_audit_log(int file) {
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < (ssize_t)strlen(NAME))
        return 0;
    path[length] = 0;
    return strcmp(path + length - strlen(NAME), NAME) == 0;
}

ssize_t write(int file, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    char fault[16] = {0};
    const char *flag = getenv("FAULT_FLAG");
    if (!real)
        real = dlsym(RTLD_NEXT, "write");
    int source = flag && names_audit_log(file) ? open(flag, O_RDONLY | O_CLOEXEC) : -1;
    if (source < 0)
        return real(file, data, size);
    ssize_t length = read(source, fault, sizeof fault - 1);
    close(source);
    if (length > 0 && fault[0] == 's') {
        if (size > RECORD_MIN)
            return real(file, data, size / 2);
        errno = ENOSPC;
    } else {
        errno = atoi(fault);
    }
    return -1;
}
