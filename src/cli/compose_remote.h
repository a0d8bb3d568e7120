/* Compose files out of git repositories (as git_is_source has them) and out of registries:
 * "oci://host/name[:tag]" is an artifact of Docker's compose. They are kept below
 * $XDG_CACHE_HOME/berth/compose by the commit or the digest; what is named by one of these is not
 * asked for again. */
#ifndef BERTH_CLI_COMPOSE_REMOTE_H
#define BERTH_CLI_COMPOSE_REMOTE_H

#include "cli/compose.h"
#include "compose/project.h"

#define COMPOSE_ARTIFACT_TYPE "application/vnd.docker.compose.project"
#define COMPOSE_CONFIG_TYPE   "application/vnd.docker.compose.config.empty.v1+json"
#define COMPOSE_FILE_TYPE     "application/vnd.docker.compose.file+yaml"
#define COMPOSE_ENV_FILE_TYPE "application/vnd.docker.compose.envfile"
#define COMPOSE_NOTE_FILE     "com.docker.compose.file"
#define COMPOSE_NOTE_ENV_FILE "com.docker.compose.envfile"
#define COMPOSE_NOTE_EXTENDS  "com.docker.compose.extends"
#define COMPOSE_NOTE_VERSION  "com.docker.compose.version"

/* For project_options. Asks the engine about registries: connects to it when that is needed. */
struct remote_files compose_remote_files(struct cli *cli);

/* Tells where a project that is not here is kept and which variables it uses, and asks whether to
 * go on; 'assumes_yes' answers. CANCELLED if not. Nothing for projects that are here. */
int compose_remote_confirm(struct cli *cli, const struct project *project, bool assumes_yes,
                           struct error *err);

#endif
