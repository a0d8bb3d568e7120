/* berth-init: the first process of a container that was asked for with --init. It runs the command
 * as its child, hands signals on to it, reaps what is left to it, and ends as its child ended. It
 * is seen in a container as /sbin/docker-init and needs nothing of the image: one static file. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL = 128 };

/* Signals that mean a fault of this process itself are not held back. */
static const int own_signals[] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS };

static void fail(const char *what, int number)
{
    fprintf(stderr, "berth-init: %s: %s\n", what, strerror(number));
}

/* What the child starts with is what this process was started with. */
struct inherited {
    sigset_t mask;
    struct sigaction stop_in, stop_out;
};

/* A process in the background that takes the terminal for its child would be stopped by these. */
static void take_signals(struct inherited *before, sigset_t *out)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    sigfillset(out);
    for (size_t i = 0; i < sizeof(own_signals) / sizeof(own_signals[0]); i++)
        sigdelset(out, own_signals[i]);
    sigdelset(out, SIGTTIN);
    sigdelset(out, SIGTTOU);
    sigprocmask(SIG_SETMASK, out, &before->mask);
    sigaction(SIGTTIN, &ignore, &before->stop_in);
    sigaction(SIGTTOU, &ignore, &before->stop_out);
}

/* A process group of its own, in the foreground, so that what a terminal sends reaches the command
 * and its children once. */
static _Noreturn void run_command(char **command, const struct inherited *before)
{
    if (setpgid(0, 0) == 0)
        (void)!tcsetpgrp(STDIN_FILENO, getpgrp());
    sigaction(SIGTTIN, &before->stop_in, NULL);
    sigaction(SIGTTOU, &before->stop_out, NULL);
    sigprocmask(SIG_SETMASK, &before->mask, NULL);
    execvp(command[0], command);
    int number = errno;
    char what[512];
    snprintf(what, sizeof(what), "exec %s failed", command[0]);
    fail(what, number);
    _exit(number == ENOENT || number == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* Reaps all that ended; true with the exit code when the command was among them. */
static bool reap(pid_t command, int *out_code)
{
    bool ended = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != command)
            continue;
        ended = true;
        *out_code = WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
    }
    return ended;
}

static int serve(pid_t command, const sigset_t *signals)
{
    int code = 0;

    for (;;) {
        int number = sigwaitinfo(signals, NULL);

        if (number == SIGCHLD && reap(command, &code))
            return code;
        if (number > 0 && number != SIGCHLD)
            kill(command, number);
    }
}

int main(int count, char **arguments)
{
    int first = count > 1 && strcmp(arguments[1], "--") == 0 ? 2 : 1;
    struct inherited before;
    sigset_t signals;

    if (count <= first) {
        fprintf(stderr, "usage: berth-init [--] COMMAND [ARG...]\n");
        return EXIT_USAGE;
    }
    /* Where it is not the first process of its namespace, orphans come to it all the same. */
    if (getpid() != 1)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    take_signals(&before, &signals);
    pid_t command = fork();
    if (command < 0) {
        fail("fork", errno);
        return EXIT_NOT_EXECUTABLE;
    }
    if (command == 0)
        run_command(arguments + first, &before);
    return serve(command, &signals);
}
