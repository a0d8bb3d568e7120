/* "-v" and "--mount" of the command line. */
#ifndef BERTH_CLI_MOUNT_SPEC_H
#define BERTH_CLI_MOUNT_SPEC_H

#include "base/error.h"
#include "spec/container.h"

/* "-v [src:]dst[:opts]": a path of the host is made absolute; a lone path is an anonymous volume.
 */
int volume_spec_parse(const char *text, struct strv *binds, struct strv *volumes,
                      struct error *err);

/* "--mount type=bind,source=…,target=…,readonly". */
int mount_spec_parse(const char *text, struct mount_request *out, struct error *err);

#endif
