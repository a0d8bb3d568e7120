/* Commands that other programs bring along: executables docker-NAME, as for Docker's own client, in
 * cliPluginsExtraDirs of config.json, in cli-plugins beside it, and in docker/cli-plugins below
 * /usr/local/lib, /usr/local/libexec, /usr/lib and /usr/libexec; the first of a name counts. Asked
 * for "docker-cli-plugin-metadata" they answer with JSON. Our own commands go before them. */
#ifndef BERTH_CLI_PLUGIN_H
#define BERTH_CLI_PLUGIN_H

#include <stddef.h>

#include "base/error.h"
#include "base/str.h"
#include "base/strv.h"

struct plugin {
    char *name, *path;
    char *vendor, *version, *summary; /* "" where it does not say */
    char *problem;                    /* why it cannot be used; NULL: it can */
};

struct plugin_list {
    struct plugin *items; /* by name */
    size_t count;
};

/* All there are, each of which is asked. The settings are loaded. */
void plugin_list(struct plugin_list *out);
void plugin_list_done(struct plugin_list *list);
CLEANUP_VALUE(plugin_list_done, struct plugin_list)

/* Becomes the plugin of that name, with all words of our command line: returns only with an error,
 * NOT_FOUND if there is none, INVALID if it is none. It talks to the engine that we would. */
int plugin_run(const char *name, char **arguments, struct error *err);

/* What the plugin says to "__complete" with those words, of which the first is its name: lines of a
 * candidate, a tab and what it means, and at last ":" and cobra's bits. Empty if it says nothing.
 */
void plugin_complete(const struct strv *words, struct str *out);

#endif
