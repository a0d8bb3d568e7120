/* See the header. */
#include "compose/interpolate.h"

#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

static int expand_text(struct yaml *node, const struct spot *spot,
                       const struct variable_source *source, struct error *err)
{
    CLEANUP(str_done) struct str out = {};
    bool is_malformed;

    if (!strchr(node->text, '$'))
        return 0;
    if (variable_expand(node->text, source, &out, &is_malformed, err) < 0) {
        CLEANUP(free) char *where = spot_text(spot);

        if (is_malformed)
            return error_set(err, ERROR_INVALID,
                             "invalid interpolation format for %s.\nYou may need to escape any $ "
                             "with another $.\n%s",
                             where, node->text);
        return error_context(err, "error while interpolating %s", where);
    }
    free(node->text);
    node->text = str_take(&out);
    return 0;
}

int interpolate_tree(struct yaml *node, const struct spot *spot,
                     const struct variable_source *source, struct error *err)
{
    if (node->kind == YAML_TEXT)
        return expand_text(node, spot, source, err);
    for (size_t i = 0; i < node->count; i++) {
        struct spot here = { .above = spot, .name = node->keys[i], .index = i };

        if (interpolate_tree(node->items[i], &here, source, err) < 0)
            return -1;
    }
    return 0;
}
