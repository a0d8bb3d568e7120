/* Instructions that only change the configuration of an image. Pure: no files, no images. */
#ifndef BERTH_BUILD_CONFIG_H
#define BERTH_BUILD_CONFIG_H

#include "base/error.h"
#include "base/str.h"
#include "build/instruction.h"
#include "spec/container.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What an instruction works on. */
struct config_change {
    const struct instruction *instruction;
    const struct strv *arguments; /* expanded */
    struct container_config *config;
    char **author;      /* replaced by MAINTAINER */
    bool *is_cmd_set;   /* CMD was given in this stage: ENTRYPOINT leaves it alone */
    struct str comment; /* out: what the history says ("ENV A=1") */
    struct str note;    /* out: what the user should know, lines */
};
void config_change_done(struct config_change *change);
CLEANUP_VALUE(config_change_done, struct config_change)

/* Expands the variables of the instruction's arguments, as its row says. */
int config_expand(const struct instruction *instruction, const struct strv *environment,
                  char escape, struct strv *out, struct error *err);

/* The shell that shell forms run in. */
void config_shell(const struct container_config *config, struct strv *out);

/* Where a script that names its interpreter is put: SCRIPT_DIRECTORY/<name of its document>. */
#define SCRIPT_DIRECTORY "/dev/pipes"

/* The arguments of RUN, CMD, ENTRYPOINT as a process has them. */
void config_command(const struct container_config *config, const struct instruction *instruction,
                    struct strv *out);

/* 'path' against the working directory, cleaned. */
char *config_path(const struct container_config *config, const char *path);

int config_apply_cmd(struct config_change *change, struct error *err);
int config_apply_entrypoint(struct config_change *change, struct error *err);
int config_apply_env(struct config_change *change, struct error *err);
int config_apply_expose(struct config_change *change, struct error *err);
int config_apply_healthcheck(struct config_change *change, struct error *err);
int config_apply_label(struct config_change *change, struct error *err);
int config_apply_maintainer(struct config_change *change, struct error *err);
int config_apply_onbuild(struct config_change *change, struct error *err);
int config_apply_shell(struct config_change *change, struct error *err);
int config_apply_stopsignal(struct config_change *change, struct error *err);
int config_apply_user(struct config_change *change, struct error *err);
int config_apply_volume(struct config_change *change, struct error *err);
int config_apply_workdir(struct config_change *change, struct error *err);

#endif
