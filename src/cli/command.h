/* A command: a row in cli/commands.c that says everything about it. */
#ifndef BERTH_CLI_COMMAND_H
#define BERTH_CLI_COMMAND_H

#include "base/error.h"
#include "base/strv.h"
#include "cli/option.h"
#include "client/client.h"

#define MANY_ARGUMENTS 1000000

/* What a command runs with. */
struct cli {
    const char *program;      /* the name we were called by */
    const char *command_path; /* "container ls" */
    struct client *client;
    const char *label;         /* before each line of a build that is one of several; NULL: alone */
    int exit_code;             /* set by a command that ends with something else than 0 */
    const void *group_options; /* of the group that the command is in, if that has any */
};

struct command {
    const char *name, *aliases; /* aliases: words separated by blanks, or NULL */
    const char *name_in_group;  /* "ls", of what is called "images" alone; NULL: the same */
    const char *usage;          /* "[OPTIONS] CONTAINER [CONTAINER...]" */
    const char *summary;
    int least, most; /* positional arguments */
    const struct option_row *options;
    size_t options_size;
    bool stops_early; /* run, create, exec: what follows the first argument belongs to the container
                       */
    bool is_local;    /* needs no engine */
    bool is_hidden;   /* for programs: no help text names it */
    /* 0, or -1 with an error that is printed; cli->exit_code may be set. Of a group: what it does
     * when no command is named (NULL: print its help, which 1 asks for, too). */
    int (*run)(struct cli *cli, const void *options, const struct strv *arguments,
               struct error *err);
    /* NULL-ended: a group. Its 'options' stand between its name and the child's. */
    const struct command *const *children;
};

/* The top of the tree (commands.c). */
extern const struct command *const commands[];

/* The command of that name, or called so too; NULL if there is none. */
const struct command *command_find(const struct command *const *list, const char *word);

/* Runs what the arguments say; gives the exit code. */
int cli_main(int argument_count, char **arguments);

/* Runs another command in this one's place, with its own words ("-it", "web-1", "sh") as if they
 * had been typed. */
int cli_call(struct cli *cli, const struct command *command, const struct strv *words,
             struct error *err);

/* Applies 'each' to all arguments; what worked is echoed on stdout, what failed is told on stderr
 * ("Error response from daemon: …"), and the exit code is then 1. */
int cli_each(struct cli *cli, const struct strv *arguments,
             int (*each)(struct cli *cli, const char *argument, const void *options,
                         struct error *err),
             const void *options, struct error *err);

#endif
