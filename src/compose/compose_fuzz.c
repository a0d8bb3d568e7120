/* A compose file, from its text to the canonical form, without the steps that read other files. Its
 * documents are merged as several files are. */
#include "compose/canonical.h"
#include "compose/field.h"
#include "compose/interpolate.h"
#include "compose/load.h"
#include "compose/merge.h"

#include "base/memory.h"

#include "base/banned.h"

static const char *get(void *data, const char *name)
{
    (void)data;
    return name[0] == 'A' ? "1" : NULL;
}

static int load(struct yaml *documents, struct yaml **out, struct error *err)
{
    struct variable_source source = { .get = get };
    CLEANUP(yaml_drop) struct yaml *model = NULL;

    for (size_t i = 0; i < documents->count; i++) {
        struct yaml *document = documents->items[i];

        if (document->kind != YAML_DICT || interpolate_tree(document, NULL, &source, err) < 0 ||
            field_apply(&field_file, document, NULL, err) < 0)
            return -1;
        if (model)
            merge_into(&field_file, model, yaml_clone(document));
        else
            model = yaml_clone(document);
    }
    if (!model)
        return -1;
    merge_drop_resets(model);
    merge_unique(&field_file, model);
    *out = TAKE(model);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(yaml_drop) struct yaml *documents = NULL;
    CLEANUP(project_done) struct project project = { .name = xstrdup("p"), .separator = '-' };
    CLEANUP(str_done) struct str text = {}, json = {};
    struct project_options options = { .no_env_resolution = true };
    struct canonical_options as_yaml = {}, as_json = { .is_json = true };
    struct error err;

    if (yaml_parse((const char *)data, size, "fuzz", &documents, &err) < 0 ||
        load(documents, &project.model, &err) < 0)
        return 0;
    normalize_profiles(&project, &options);
    check_project(&project, &err);
    normalize_unused(&project);
    field_order(&field_file, project.model);
    canonical_write(&project, &as_yaml, &text);
    canonical_write(&project, &as_json, &json);
    return 0;
}
