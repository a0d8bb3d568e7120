/* compose alpha and bridge: known by name, and refused with the reason. */
#include "cli/compose.h"

#include "base/banned.h"

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
