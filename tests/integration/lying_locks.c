/* A disk whose file locks always succeed and exclude nobody, as NFS mounted with local_lock=all between two machines. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/types.h>

static int locks(int command) {
    return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

#define FCNTL(name)                                                                  \
    int name(int file, int command, ...) {                                           \
        va_list rest;                                                                \
        va_start(rest, command);                                                     \
        void *argument = va_arg(rest, void *);                                       \
        va_end(rest);                                                                \
        int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, #name); \
        return locks(command) ? 0 : real(file, command, argument);                   \
    }

FCNTL(fcntl)
FCNTL(fcntl64)

int flock(int file, int operation) { return 0; }
int lockf(int file, int command, off_t length) { return 0; }
int lockf64(int file, int command, off64_t length) { return 0; }
