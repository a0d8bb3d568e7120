/* See the header. */
#include "compose/interpolate.h"

#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

static int expand_text(struct yaml *node, const struct spot *spot,
                       const struct variable_source *source, size_t *inout_size, struct error *err)
{
    CLEANUP(str_done) struct str out = {};
    bool is_malformed;

    if (!strchr(node->text, '$'))
        return 0;
    if (variable_expand(node->text, source, &out, &is_malformed, err) < 0) {
        CLEANUP(free) char *where = spot_text(spot);

        if (is_malformed)
            error_set(err, ERROR_INVALID,
                      "invalid interpolation format for %s.\nYou may need to escape any $ "
                      "with another $.\n%s",
                      where, node->text);
        else
            error_context(err, "error while interpolating %s", where);
        return spot_place(NULL, node, NULL, err);
    }
    *inout_size += out.length;
    if (*inout_size > VARIABLE_ALL_SIZE_LIMIT) {
        error_set(err, ERROR_INVALID, "the file grows too large by its variables");
        return spot_place(spot, node, NULL, err);
    }
    free(node->text);
    node->text = str_take(&out);
    return 0;
}

static int expand_tree(struct yaml *node, const struct spot *spot,
                       const struct variable_source *source, size_t *inout_size, struct error *err)
{
    if (node->kind == YAML_TEXT)
        return expand_text(node, spot, source, inout_size, err);
    for (size_t i = 0; i < node->count; i++) {
        struct spot here = { .above = spot, .name = node->keys[i], .index = i };

        if (expand_tree(node->items[i], &here, source, inout_size, err) < 0)
            return -1;
    }
    return 0;
}

int interpolate_tree(struct yaml *node, const struct spot *spot,
                     const struct variable_source *source, struct error *err)
{
    size_t size = 0;

    return expand_tree(node, spot, source, &size, err);
}
