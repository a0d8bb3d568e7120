/* Environment as the command line gives it: -e, --env-file, --label-file. */
#ifndef BERTH_CLI_ENV_FILE_H
#define BERTH_CLI_ENV_FILE_H

#include "base/error.h"
#include "base/strv.h"

/* Sets "KEY=value" in 'out'. "KEY" alone takes the value of our own environment, or is left out. */
void env_add(struct strv *out, const char *entry);

/* The lines of a file, each as env_add takes it; comments and blank lines are left out. INVALID for
 * a key with blanks. */
int env_file_read(const char *path, struct strv *out, struct error *err);

/* The same for labels, whose values come from nowhere else: lines without '=' are left out. */
int label_file_read(const char *path, struct strv *out, struct error *err);

#endif
