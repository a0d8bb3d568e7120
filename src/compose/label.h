/* The labels by which Docker's compose and berth's find what belongs to a project. */
#ifndef BERTH_COMPOSE_LABEL_H
#define BERTH_COMPOSE_LABEL_H

#define LABEL_PREFIX           "com.docker.compose."
#define LABEL_PROJECT          LABEL_PREFIX "project"
#define LABEL_SERVICE          LABEL_PREFIX "service"
#define LABEL_VERSION          LABEL_PREFIX "version"
#define LABEL_NUMBER           LABEL_PREFIX "container-number"
#define LABEL_HASH             LABEL_PREFIX "config-hash"
#define LABEL_ONEOFF           LABEL_PREFIX "oneoff"
#define LABEL_IMAGE            LABEL_PREFIX "image"
#define LABEL_DEPENDENCIES     LABEL_PREFIX "depends_on"
#define LABEL_DIRECTORY        LABEL_PREFIX "project.working_dir"
#define LABEL_FILES            LABEL_PREFIX "project.config_files"
#define LABEL_ENVIRONMENT_FILE LABEL_PREFIX "project.environment_file"
#define LABEL_SLUG             LABEL_PREFIX "slug"
#define LABEL_REPLACES         LABEL_PREFIX "replace"
#define LABEL_NETWORK          LABEL_PREFIX "network"
#define LABEL_VOLUME           LABEL_PREFIX "volume"

/* The version of Docker's compose whose labels and hashes these are. */
#define LABEL_VERSION_VALUE "2.40.3"

#endif
