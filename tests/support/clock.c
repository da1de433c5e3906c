/* The machine's wall clock as a story wants it, for one process: loaded before its libraries (LD_PRELOAD).
 *
 * PARKGATE_CLOCK names a file of 16 bytes that a test rewrites while the process runs: nanoseconds (i64) to be added to
 * CLOCK_REALTIME, and whether the kernel calls the clock disciplined (i64, 0 or 1). Every other clock is left alone.
 * libfaketime does the first by its own intricate ways (under it a Python that sleeps never wakes), and the second not at all.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *told;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("PARKGATE_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        abort(); /* a story about a wrong clock must not be told with the right one */
    told = page;
    close(fd);
}

int clock_gettime(clockid_t id, struct timespec *ts) {
    int failed = (int)syscall(SYS_clock_gettime, id, ts);
    if (failed || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return failed;
    int64_t nanos = ts->tv_nsec + told[0] % 1000000000;
    ts->tv_sec += told[0] / 1000000000;
    if (nanos < 0 || nanos >= 1000000000) {
        ts->tv_sec += nanos < 0 ? -1 : 1;
        nanos += nanos < 0 ? 1000000000 : -1000000000;
    }
    ts->tv_nsec = nanos;
    return 0;
}

int adjtimex(struct timex *tx) {
    int state = (int)syscall(SYS_adjtimex, tx);
    if (state < 0)
        return state;
    tx->status = told[1] ? tx->status & ~STA_UNSYNC : tx->status | STA_UNSYNC;
    return told[1] ? TIME_OK : TIME_ERROR;
}
