/* plugin_child.c: runs code of a plugin in a child process, so that its crash is one line and not the end of us. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/plugin.h"

/* Reads until the child closes its end; false when the time is over. */
static bool listen_to(int in, double until, struct tn_text *said)
{
    char buffer[4096];
    for (;;) {
        struct pollfd wait = {.fd = in, .events = POLLIN};
        double left = until - tn_seconds_now();
        int ready = left > 0 ? poll(&wait, 1, (int)(left * 1000) + 1) : 0;
        ssize_t count;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        count = read(in, buffer, sizeof buffer);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return true;
        tn_text_add_bytes(said, buffer, (size_t)count);
    }
}

/* The child has closed the pipe, but may still hang in an exit handler; false when the time is over. */
static bool wait_for(pid_t child, double until, int *ended)
{
    for (;;) {
        pid_t got = waitpid(child, ended, WNOHANG);
        /* No longer ours: whoever started us ignores SIGCHLD, and its number may belong to somebody else by now. */
        if (got == child || (got < 0 && errno == ECHILD))
            return true;
        if (tn_seconds_now() > until)
            return false;
        (void)poll(NULL, 0, 1);
    }
}

/* What the child writes last, so that a plugin that calls exit(0) is not taken for one that is done. */
#define LAST_WORD '\004'

static bool judge(int ended, struct tn_text *said, char *how, size_t how_size)
{
    bool done = said->length && said->data[said->length - 1] == LAST_WORD;
    if (done)
        said->data[--said->length] = '\0';
    if (done && WIFEXITED(ended) && WEXITSTATUS(ended) == 0)
        return true;
    if (WIFSIGNALED(ended))
        (void)snprintf(how, how_size, "crashed: %s", strsignal(WTERMSIG(ended)));
    else
        (void)snprintf(how, how_size, "ended its process (status %d)", WEXITSTATUS(ended));
    return false;
}

bool tn_child_run(void (*body)(void *context, int out), void *context, double seconds, struct tn_text *said, char *how,
                  size_t how_size)
{
    double until = tn_seconds_now() + seconds;
    int ends[2], ended = 0;
    bool in_time;
    pid_t child;
    if (pipe(ends) != 0) {
        (void)snprintf(how, how_size, "no pipe: %s", strerror(errno));
        return false;
    }
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        body(context, ends[1]);
        _exit(write(ends[1], &(char){LAST_WORD}, 1) == 1 ? 0 : 1);
    }
    (void)close(ends[1]);
    if (child < 0) {
        (void)close(ends[0]);
        (void)snprintf(how, how_size, "no process: %s", strerror(errno));
        return false;
    }
    in_time = listen_to(ends[0], until, said) && wait_for(child, until, &ended);
    (void)close(ends[0]);
    if (!in_time) {
        (void)kill(child, SIGKILL);
        (void)waitpid(child, &ended, 0);
        (void)snprintf(how, how_size, "did not end within %.0f s", seconds);
        return false;
    }
    return judge(ended, said, how, how_size);
}
