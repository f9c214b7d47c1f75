/* command.h: runs a command through /bin/sh with a time limit and hands on what it says, line by line. Private to this
 * folder.
 *
 * The process has threads, so that the child is made by posix_spawn and no code of ours runs in it. It gets /dev/null
 * as input, a pipe as output, no other descriptor, no blocked or ignored signal of ours, and a process group of its
 * own, by which it is ended with all that it started.
 */
#ifndef TENON_CALLBACKS_COMMAND_H
#define TENON_CALLBACKS_COMMAND_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "tenon/plugin.h"

enum { COMMAND_LINES = 200 }; /* of output are handed on; a log is not the place for more */

struct command {
    pid_t child;
    int output; /* end of the pipe, -1 = closed */
    void (*line)(void *context, const char *text);
    void *context;
    char text[500];
    size_t used;
    unsigned lines;
    /* Asked now and then: 1 = end it before its time. NULL = never. */
    int32_t (*give_up)(void *context);
    int32_t ended, over, given_up; /* over: it was told to end */
    siginfo_t how;
};

/* ---- output ---- */

TN_UNUSED static void command_flush(struct command *command)
{
    command->text[command->used] = '\0';
    command->used = 0;
    if (command->lines++ < COMMAND_LINES)
        command->line(command->context, command->text);
    else if (command->lines == COMMAND_LINES + 1)
        command->line(command->context, "(what the command says further is left out)");
}

TN_UNUSED static void command_take(struct command *command, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte == '\n' || command->used == sizeof command->text - 1)
            command_flush(command);
        if (byte == '\n' || byte == '\r')
            continue;
        command->text[command->used++] = byte == '\t' ? ' ' : byte < 0x20 || byte == 0x7f ? '?' : (char)byte;
    }
}

/* Reads what is there, but not for ever when the command says more and more. */
TN_UNUSED static void command_drain(struct command *command)
{
    char bytes[4096];
    for (int turn = 0; turn < 16 && command->output >= 0; turn++) {
        ssize_t count = read(command->output, bytes, sizeof bytes);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return;
        if (count > 0) {
            command_take(command, bytes, (size_t)count);
            continue;
        }
        (void)close(command->output);
        command->output = -1;
    }
}

/* ---- the process ---- */

/* Returns 0 or an error number. */
TN_UNUSED static int command_spawn(struct command *command, int output, const char *text, char *const *environment)
{
    const char *const words[] = {"sh", "-c", text, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, plain;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (failed)
        goto actions_only;
    (void)sigemptyset(&none);
    (void)sigemptyset(&plain);
    (void)sigaddset(&plain, SIGPIPE); /* tenon ignores it, and what is ignored stays so */
    (void)sigaddset(&plain, SIGCHLD);
    failed = posix_spawnattr_setsigmask(&attributes, &none);
    failed = failed ? failed : posix_spawnattr_setsigdefault(&attributes, &plain);
    failed = failed ? failed : posix_spawnattr_setpgroup(&attributes, 0);
    failed = failed ? failed
                    : posix_spawnattr_setflags(&attributes,
                                               POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&actions, output, 1);
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&actions, output, 2);
    failed = failed ? failed : posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    /* Files of other parts of the process that were not opened with O_CLOEXEC. */
    failed = failed ? failed : posix_spawn_file_actions_addclosefrom_np(&actions, 3);
#endif
    if (!failed)
        failed = posix_spawn(&command->child, "/bin/sh", &actions, &attributes, (char *const *)(uintptr_t)words,
                             environment);
    (void)posix_spawnattr_destroy(&attributes);
actions_only:
    (void)posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* Looks whether the shell has ended, without giving its number back: until that is done its group can be signalled. */
TN_UNUSED static void command_look(struct command *command)
{
    siginfo_t how;
    memset(&how, 0, sizeof how);
    if (waitid(P_PID, (id_t)command->child, &how, WEXITED | WNOHANG | WNOWAIT) != 0) {
        /* Whoever started us ignores SIGCHLD: that it has ended is all that can be known. */
        command->ended = errno == ECHILD;
        how.si_code = CLD_EXITED;
        how.si_status = 0;
    } else {
        command->ended = how.si_pid == command->child;
    }
    command->how = how;
}

/* Until the command has ended; what it has left behind in the background is let be, unless the time was over. */
TN_UNUSED static void command_wait(struct command *command, double limit)
{
    static const double grace = 1; /* seconds between asking it to end and ending it */
    double until = limit > 0 ? seconds_now() + limit : INFINITY;
    for (;;) {
        struct pollfd pipe_end = {command->output, POLLIN, 0};
        command_drain(command);
        command_look(command);
        if (command->ended)
            break;
        if (!command->given_up && command->give_up && command->give_up(command->context)) {
            command->given_up = 1;
            until = command->over ? until : 0;
        }
        if (seconds_now() > until) {
            (void)kill(-command->child, command->over ? SIGKILL : SIGTERM);
            until = command->over ? INFINITY : seconds_now() + grace;
            command->over = 1;
        }
        (void)poll(&pipe_end, command->output >= 0, command->output >= 0 ? 50 : 2);
    }
    if (command->over)
        (void)kill(-command->child, SIGKILL);
    while (waitpid(command->child, NULL, 0) < 0 && errno == EINTR)
        ;
    command_drain(command);
    if (command->output >= 0)
        (void)close(command->output);
    if (command->used)
        command_flush(command);
}

/* Runs `text` for at most `limit` seconds (0 = without a limit). `failure` is "" when it ended well, else says how it
 * ended. Returns 1 when it was given up. */
TN_UNUSED static int32_t command_run(const char *text, char *const *environment, double limit,
                                     void (*line)(void *context, const char *text), int32_t (*give_up)(void *context),
                                     void *context, char *failure, size_t bytes)
{
    struct command command = {.output = -1, .line = line, .give_up = give_up, .context = context};
    int ends[2], failed;
    failure[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0) {
        (void)snprintf(failure, bytes, "could not be started: %s", strerror(errno));
        return 0;
    }
    command.output = ends[0];
    failed = command_spawn(&command, ends[1], text, environment);
    (void)close(ends[1]);
    if (failed || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        (void)close(ends[0]);
        (void)snprintf(failure, bytes, "could not be started: %s", strerror(failed ? failed : errno));
        return 0;
    }
    command_wait(&command, limit);
    if (command.given_up && command.over)
        (void)snprintf(failure, bytes, "was ended, for the run is to stop");
    else if (command.over)
        (void)snprintf(failure, bytes, "was ended after %g s (time_limit)", limit);
    else if (command.how.si_code != CLD_EXITED)
        (void)snprintf(failure, bytes, "was ended by signal %d (%s)", command.how.si_status,
                       strsignal(command.how.si_status));
    else if (command.how.si_status != 0)
        (void)snprintf(failure, bytes, "ended with status %d", command.how.si_status);
    return command.given_up;
}

#endif
