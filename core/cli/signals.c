/* signals.c: a first Ctrl-C ends a run in order, a second one at once. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* A handler can reach nothing but a global. */
static volatile int32_t stop_asked;

static void ask_to_stop(int number)
{
    (void)number;
    if (stop_asked)
        _exit(TN_EXIT_KILLED);
    stop_asked = 1;
}

volatile int32_t *tn_signals_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = ask_to_stop;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < TN_COUNT_OF(numbers); i++) {
        struct sigaction before;
        /* nohup, and shells that start a job in the background, ignore a signal on purpose. */
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN && numbers[i] == SIGHUP)
            continue;
        sigaction(numbers[i], &action, NULL);
    }
    /* A closed pipe (`tenon train x.ini | head`) must not end a run in the middle of a step. */
    signal(SIGPIPE, SIG_IGN);
    return &stop_asked;
}
