/* The table of contents of the command line. */
#include "cli/command.h"
#include "cli/compose.h"

#include "base/banned.h"

extern const struct command command_attach, command_build, command_commit, command_cp,
    command_create, command_diff, command_events, command_exec, command_export, command_history,
    command_images, command_import, command_info, command_inspect, command_kill, command_logs,
    command_network_connect, command_network_create, command_network_disconnect, command_network_ls,
    command_network_prune, command_network_rm, command_pause, command_ps, command_rename,
    command_restart, command_rm, command_rmi, command_run, command_start, command_stop, command_tag,
    command_unpause, command_verify, command_version, command_volume_create, command_volume_ls,
    command_volume_rm, command_wait;

extern const struct command command_load, command_login, command_logout, command_pull, command_push,
    command_save, command_search;

extern const struct command command_container_prune, command_df, command_dial_stdio,
    command_image_prune, command_port, command_stats, command_system_prune, command_top,
    command_update, command_volume_prune;

extern const struct command command_volume_clone, command_volume_export, command_volume_import,
    command_volume_rename, command_volume_snapshot;
extern const struct command command_container_inspect, command_image_inspect,
    command_network_inspect, command_volume_inspect, command_volume_update;

extern const struct command command_complete, command_completion;

extern const struct command command_context_create, command_context_export, command_context_import,
    command_context_inspect, command_context_ls, command_context_rm, command_context_show,
    command_context_update, command_context_use;

/* clang-format off */
extern const struct command command_builder_prune;
static const struct command *const builder_commands[] = {
    &command_build,
    &command_builder_prune,
    NULL,
};

static const struct command *const container_commands[] = {
    &command_attach,
    &command_commit,
    &command_cp,
    &command_create,
    &command_diff,
    &command_exec,
    &command_export,
    &command_container_inspect,
    &command_kill,
    &command_logs,
    &command_ps,
    &command_pause,
    &command_port,
    &command_container_prune,
    &command_rename,
    &command_restart,
    &command_rm,
    &command_run,
    &command_start,
    &command_stats,
    &command_stop,
    &command_top,
    &command_unpause,
    &command_update,
    &command_wait,
    NULL,
};

static const struct command *const context_commands[] = {
    &command_context_create,
    &command_context_export,
    &command_context_import,
    &command_context_inspect,
    &command_context_ls,
    &command_context_rm,
    &command_context_show,
    &command_context_update,
    &command_context_use,
    NULL,
};

static const struct command *const image_commands[] = {
    &command_build,
    &command_history,
    &command_import,
    &command_image_inspect,
    &command_load,
    &command_images,
    &command_image_prune,
    &command_pull,
    &command_push,
    &command_rmi,
    &command_save,
    &command_tag,
    NULL,
};

extern const struct command command_manifest_annotate, command_manifest_create, command_manifest_inspect, command_manifest_push, command_manifest_rm;
static const struct command *const manifest_commands[] = {
    &command_manifest_annotate,
    &command_manifest_create,
    &command_manifest_inspect,
    &command_manifest_push,
    &command_manifest_rm,
    NULL,
};

static const struct command *const network_commands[] = {
    &command_network_connect,
    &command_network_create,
    &command_network_disconnect,
    &command_network_inspect,
    &command_network_ls,
    &command_network_prune,
    &command_network_rm,
    NULL,
};

static const struct command *const system_commands[] = {
    &command_df,
    &command_dial_stdio,
    &command_events,
    &command_info,
    &command_system_prune,
    &command_verify,
    NULL,
};

static const struct command *const volume_commands[] = {
    &command_volume_clone,
    &command_volume_create,
    &command_volume_export,
    &command_volume_import,
    &command_volume_inspect,
    &command_volume_ls,
    &command_volume_prune,
    &command_volume_rename,
    &command_volume_rm,
    &command_volume_snapshot,
    &command_volume_update,
    NULL,
};

static const struct command command_container = { .name = "container",
                                                  .summary = "Manage containers",
                                                  .children = container_commands };
static const struct command command_context = { .name = "context",
                                                .summary = "Manage contexts: engines by name",
                                                .children = context_commands };
static const struct command command_image = { .name = "image",
                                              .summary = "Manage images",
                                              .children = image_commands };
static const struct command command_manifest = {
    .name = "manifest", .summary = "Make lists of images for several platforms, in registries", .children = manifest_commands
};
static const struct command command_network = { .name = "network",
                                                .summary = "Manage networks",
                                                .children = network_commands };
static const struct command command_system = { .name = "system",
                                               .summary = "Manage the engine",
                                               .children = system_commands };
static const struct command command_volume = { .name = "volume",
                                               .summary = "Manage volumes",
                                               .children = volume_commands };

static const struct command command_builder = { .name = "builder",
                                                .summary = "Manage builds",
                                                .children = builder_commands };

const struct command *const commands[] = {
    &command_attach,
    &command_build,
    &command_builder,
    &command_commit,
    &command_complete,
    &command_completion,
    &command_compose,
    &command_container,
    &command_context,
    &command_cp,
    &command_create,
    &command_diff,
    &command_events,
    &command_exec,
    &command_export,
    &command_history,
    &command_image,
    &command_images,
    &command_import,
    &command_info,
    &command_inspect,
    &command_kill,
    &command_load,
    &command_login,
    &command_logout,
    &command_logs,
    &command_manifest,
    &command_network,
    &command_pause,
    &command_port,
    &command_ps,
    &command_pull,
    &command_push,
    &command_rename,
    &command_restart,
    &command_rm,
    &command_rmi,
    &command_run,
    &command_save,
    &command_search,
    &command_start,
    &command_stats,
    &command_stop,
    &command_system,
    &command_tag,
    &command_top,
    &command_unpause,
    &command_update,
    &command_version,
    &command_volume,
    &command_wait,
    NULL,
};
/* clang-format on */
