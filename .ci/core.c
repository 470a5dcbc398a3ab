/* The tests that need no program, one process: what the coverage and the mutation checks run.
   core                     all of them; ends with "N passed, N failed"
   core times               those that are quick, with the milliseconds of each
   core NAME:LIMIT ...      these, in this order; ends at the first that fails, or at the first that
                            takes more than LIMIT ms of processor time (SIGVTALRM)
   Built with -DOCM_IMPLEMENTED it is linked with an ocm.h that was compiled elsewhere. */

#define main test_main
#include "../test.c"
#undef main
#include <sys/time.h>
#include <time.h>

static const struct { const char *name; void (*run)(void); } core_tests[] = {
    UNIT_TESTS REGISTRY_TESTS, SESSION_TESTS, FUZZ_TESTS
};

static int core_run(size_t i)
{
    broken = 0;
    row = "";
    core_tests[i].run();
    if (broken) printf("FAILED %s: %d checks\n", core_tests[i].name, broken);
    return broken > 0;
}

static int core_run_limited(const char *test)
{
    size_t i, len = strcspn(test, ":");
    long ms = strtol(test + len + (test[len] == ':'), NULL, 10);
    struct itimerval limit;
    memset(&limit, 0, sizeof limit);
    limit.it_value.tv_sec = ms / 1000;
    limit.it_value.tv_usec = ms % 1000 * 1000;
    setitimer(ITIMER_VIRTUAL, &limit, NULL);
    for (i = 0; i < COUNT(core_tests); i++)
        if (strlen(core_tests[i].name) == len && memcmp(core_tests[i].name, test, len) == 0)
            return core_run(i);
    printf("no test %s\n", test);
    return 1;
}

int main(int argc, char **argv)
{
    int i, failed = 0, times = argc == 2 && strcmp(argv[1], "times") == 0;
    size_t k;
    if (argc > 1 && !times) {
        for (i = 1; i < argc; i++)
            if (core_run_limited(argv[i])) return 1;
        return 0;
    }
    for (k = 0; k < COUNT(core_tests); k++) {
        clock_t began = clock();
        if (times && strcmp(core_tests[k].name, "a_million") == 0) continue;
        failed += core_run(k);
        if (times)
            printf("%s %ld\n", core_tests[k].name,
                   (long)((clock() - began) * 1000 / CLOCKS_PER_SEC));
    }
    printf("%d passed, %d failed\n", (int)COUNT(core_tests) - failed, failed);
    return failed > 0;
}
