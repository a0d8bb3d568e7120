/* compose alpha, bridge and publish: known by name, and refused with the reason. */
#include "cli/compose.h"

#include "base/banned.h"

#define WHY_PUBLISH "hand the files on as they are, or in a repository"

/* clang-format off */
static const struct option_row publish_rows[] = {
    { 0,   "app",                   OPTION_UNSUPPORTED_FLAG, 0, WHY_PUBLISH },
    { 0,   "oci-version",           OPTION_UNSUPPORTED,      0, WHY_PUBLISH },
    { 0,   "resolve-image-digests", OPTION_UNSUPPORTED_FLAG, 0, WHY_PUBLISH },
    { 0,   "with-env",              OPTION_UNSUPPORTED_FLAG, 0, WHY_PUBLISH },
    { 'y', "yes",                   OPTION_UNSUPPORTED_FLAG, 0, WHY_PUBLISH },
    {},
};
/* clang-format on */

static int refuse(const struct cli *cli, const char *why, struct error *err)
{
    return error_set(err, ERROR_UNSUPPORTED, "%s is not supported: %s", cli->command_path, why);
}

static int alpha(struct cli *cli, const void *parsed UNUSED, const struct strv *arguments UNUSED,
                 struct error *err)
{
    return refuse(cli, "its commands are experiments, which change from version to version", err);
}

static int bridge(struct cli *cli, const void *parsed UNUSED, const struct strv *arguments UNUSED,
                  struct error *err)
{
    return refuse(cli, "it makes files for other engines, with images of Docker's that do the work",
                  err);
}

static int publish(struct cli *cli, const void *parsed UNUSED, const struct strv *arguments UNUSED,
                   struct error *err)
{
    return refuse(cli, WHY_PUBLISH, err);
}

const struct command command_compose_alpha = {
    .name = "alpha",
    .usage = "COMMAND",
    .summary = "Experiments of Docker's compose (refused)",
    .most = MANY_ARGUMENTS,
    .stops_early = true,
    .is_local = true,
    .is_hidden = true,
    .run = alpha,
};

const struct command command_compose_bridge = {
    .name = "bridge",
    .usage = "COMMAND",
    .summary = "Turn compose files into those of other engines (refused)",
    .most = MANY_ARGUMENTS,
    .stops_early = true,
    .is_local = true,
    .is_hidden = true,
    .run = bridge,
};

const struct command command_compose_publish = {
    .name = "publish",
    .usage = "REPOSITORY[:TAG]",
    .summary = "Put the files into a registry (refused)",
    .most = MANY_ARGUMENTS,
    .options = publish_rows,
    .is_local = true,
    .is_hidden = true,
    .run = publish,
};
