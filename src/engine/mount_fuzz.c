/* Whatever is asked for as a mount: what is taken has an absolute target that is not the root, and
 * is read the same again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/mount.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    CLEANUP(container_mount_done) struct container_mount mount = {};
    struct error err = {};
    bool is_read_only;

    mount_check_tmpfs(text, &err);
    mount_check_mode(text, &is_read_only);
    if (mount_parse_bind(text, &mount, &err) < 0)
        return 0;
    if (mount.destination[0] != '/' || !mount.destination[1] || strstr(mount.destination, "/../"))
        abort();
    if (mount.source && mount.source[0] != '/')
        abort();
    return 0;
}
