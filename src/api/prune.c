/* Removing what nobody uses. One prune of a kind runs at a time. */
#include "api/prune.h"

#include <stdio.h>

#include "api/image_write.h"
#include "api/network_write.h"
#include "api/routes.h"
#include "api/usage.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/events.h"
#include "engine/image.h"
#include "engine/usage.h"
#include "engine/volume.h"

#include "base/banned.h"

static int begin(struct prune *prune, struct request *req, const char *const *accepted,
                 struct error *err)
{
    *prune = (struct prune){ .req = req };
    prune->writer.out = &prune->removed;
    if (filters_parse(request_query(req, "filters"), accepted, &prune->filters, err) < 0)
        return -1;
    if (filters_until(&prune->filters, &prune->until_ns, err) == 0)
        return 0;
    err->kind = ERROR_INVALID; /* Lists answer this with 500, as Docker does. */
    return -1;
}

/* Takes the turn of one kind. */
static int turn_take(struct prune *prune, atomic_flag *turn, struct error *err)
{
    if (atomic_flag_test_and_set(turn))
        return error_set(err, ERROR_CONFLICT, "a prune operation is already running");
    prune->turn = turn;
    return 0;
}

static void turn_give_back(struct prune *prune)
{
    if (prune->turn)
        atomic_flag_clear(prune->turn);
    prune->turn = NULL;
}

void prune_done(struct prune *prune)
{
    turn_give_back(prune);
    filters_done(&prune->filters);
    str_done(&prune->removed);
}

static bool is_old_enough(const struct prune *prune, int64_t created_ns)
{
    return prune->until_ns == 0 || created_ns < prune->until_ns;
}

static void note_removed(struct prune *prune, const char *name)
{
    json_add_text(&prune->writer, NULL, name);
    prune->count++;
}

/* {"<key>":[…] or null,"SpaceReclaimed":n}, and the event. */
static int prune_reply(struct prune *prune, const char *type, const char *key, bool with_space,
                       bool empty_is_null, struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    CLEANUP(str_done) struct str list = {};
    CLEANUP(map_done) struct map attributes = {};
    struct json_writer w = { .out = &body };
    char reclaimed[24];

    snprintf(reclaimed, sizeof(reclaimed), "%lld", (long long)prune->reclaimed);
    map_set_text(&attributes, "reclaimed", reclaimed);
    engine_event(prune->req->engine, type, "prune", "", &attributes);

    str_add_format(&list, "[%s]", str_text(&prune->removed));
    json_begin_dict(&w, NULL);
    if (prune->count == 0 && empty_is_null)
        json_add_null(&w, key);
    else
        json_add_raw(&w, key, str_text(&list));
    if (with_space)
        json_add_int64(&w, "SpaceReclaimed", prune->reclaimed);
    json_end_dict(&w);
    turn_give_back(prune); /* Whoever has the answer may prune again. */
    return reply_json(prune->req, 200, &body, err);
}

/* ---- containers ---- */

int prune_begin_containers(struct prune *prune, struct request *req, struct error *err)
{
    static const char *const accepted[] = { "label", "label!", "until", NULL };

    return begin(prune, req, accepted, err);
}

bool prune_takes_container(const struct prune *prune, const struct container_info *info)
{
    bool is_stopped = info->state == CONTAINER_CREATED || info->state == CONTAINER_EXITED ||
                      info->state == CONTAINER_DEAD;

    return is_stopped && is_old_enough(prune, info->created_ns) &&
           filters_match_labels(&prune->filters, &info->config.labels);
}

static void prune_container(struct prune *prune, const struct container_info *info)
{
    int64_t changed, all;
    struct error ignored;

    if (!prune_takes_container(prune, info))
        return;
    usage_container_size(prune->req->engine, info, &changed, &all);
    if (engine_container_remove(prune->req->engine, info->id, false, false, &ignored) < 0)
        return; /* Somebody started it meanwhile. */
    prune->reclaimed += changed;
    note_removed(prune, info->id);
}

int api_container_prune(struct request *req, struct error *err)
{
    static atomic_flag turn = ATOMIC_FLAG_INIT;
    CLEANUP(prune_done) struct prune prune;
    struct container_info **list;
    size_t count;

    if (prune_begin_containers(&prune, req, err) < 0 || turn_take(&prune, &turn, err) < 0)
        return -1;
    if (engine_container_list(req->engine, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count && !http_is_cancelled(req->exchange); i++)
        prune_container(&prune, list[i]);
    engine_container_list_free(list, count);
    return prune_reply(&prune, "container", "ContainersDeleted", true, true, err);
}

/* ---- images ---- */

int prune_begin_images(struct prune *prune, struct request *req, struct error *err)
{
    static const char *const accepted[] = { "dangling", "label", "label!", "until", NULL };
    bool dangling_only;

    if (begin(prune, req, accepted, err) < 0 ||
        filters_bool(&prune->filters, "dangling", true, &dangling_only, err) < 0)
        return -1;
    prune->all = !dangling_only;
    return 0;
}

bool prune_is_nameless(const struct image *image)
{
    return image->tags.count == 0 && image->digests.count == 0;
}

bool prune_takes_image(const struct prune *prune, const struct image *image)
{
    return (prune->all || prune_is_nameless(image)) && is_old_enough(prune, image->created_ns) &&
           filters_match_labels(&prune->filters, &image->config.config.labels);
}

static void note_images(struct prune *prune, struct json_list *removals)
{
    image_removals_write(&prune->writer, removals);
    prune->count += removals->count;
    image_removals_free(removals);
}

/* Removes by the given name or id; what is in use stays. */
static void remove_image(struct prune *prune, const char *name)
{
    struct json_list removals = {};
    struct error ignored;

    if (engine_image_remove(prune->req->engine, name, false, false, &removals, &ignored) == 0)
        note_images(prune, &removals);
}

/* All that can go at once. */
static void prune_together(struct prune *prune, struct image *const *list, size_t count)
{
    CLEANUP(free) struct image **chosen = xcalloc(count + 1, sizeof(*chosen));
    struct json_list removals = {};
    size_t chosen_count = 0;
    struct error ignored;

    for (size_t i = 0; i < count; i++)
        if (prune_takes_image(prune, list[i]))
            chosen[chosen_count++] = list[i];
    engine_images_remove(prune->req->engine, chosen, chosen_count, &removals, &ignored);
    note_images(prune, &removals);
}

/* One that stayed for its children loses its names all the same. */
static void prune_image(struct prune *prune, const struct image *image)
{
    CLEANUP(image_unref) struct image *now = NULL;
    struct error ignored;

    if (!prune_takes_image(prune, image) ||
        engine_image_container_count(prune->req->engine, image->id) > 0 ||
        engine_image_get(prune->req->engine, image->id, &now, &ignored) < 0)
        return;
    if (prune_is_nameless(image))
        remove_image(prune, image->id);
    for (size_t i = 0; i < image->tags.count; i++)
        remove_image(prune, image->tags.items[i]);
    if (image->tags.count == 0)
        for (size_t i = 0; i < image->digests.count; i++)
            remove_image(prune, image->digests.items[i]);
}

int api_image_prune(struct request *req, struct error *err)
{
    static atomic_flag turn = ATOMIC_FLAG_INIT;
    CLEANUP(prune_done) struct prune prune;
    struct image **list;
    size_t count;

    if (prune_begin_images(&prune, req, err) < 0 || turn_take(&prune, &turn, err) < 0)
        return -1;

    int64_t before = engine_layers_size(req->engine);
    if (engine_image_list(req->engine, &list, &count, err) < 0)
        return -1;
    prune_together(&prune, list, count);
    for (size_t i = 0; i < count && !http_is_cancelled(req->exchange); i++)
        prune_image(&prune, list[i]);
    store_images_free(list, count);
    prune.reclaimed = MAX(before - engine_layers_size(req->engine), 0);
    return prune_reply(&prune, "image", "ImagesDeleted", true, true, err);
}

/* ---- volumes ---- */

/* strconv.ParseBool */
static int read_all(const struct prune *prune, bool *out, struct error *err)
{
    static const char *const on[] = { "1", "t", "T", "true", "TRUE", "True" };
    static const char *const off[] = { "0", "f", "F", "false", "FALSE", "False" };
    const struct strv *given = filters_values(&prune->filters, "all");

    *out = prune->req->version < API_VERSION(42);
    for (size_t i = 0; i < given->count; i++) {
        bool is_known = false;

        for (size_t j = 0; j < COUNT(on); j++)
            if (text_equal(given->items[i], on[j]) || text_equal(given->items[i], off[j])) {
                *out = text_equal(given->items[i], on[j]);
                is_known = true;
            }
        if (!is_known)
            return error_set(err, ERROR_INVALID,
                             "invalid filter 'all': strconv.ParseBool: parsing \"%s\": invalid "
                             "syntax",
                             given->items[i]);
    }
    return 0;
}

int prune_begin_volumes(struct prune *prune, struct request *req, struct error *err)
{
    static const char *const accepted[] = { "all", "label", "label!", NULL };

    return begin(prune, req, accepted, err) < 0 ? -1 : read_all(prune, &prune->all, err);
}

bool prune_takes_volume(const struct prune *prune, const struct volume *volume)
{
    return (prune->all || volume->is_anonymous) &&
           filters_match_labels(&prune->filters, &volume->labels);
}

static void prune_volume(struct prune *prune, struct volume *volume, const struct map *uses)
{
    struct error ignored;

    if (!prune_takes_volume(prune, volume) || map_has(uses, volume->name))
        return;
    int64_t size = engine_volume_size(prune->req->engine, volume, uses);
    if (engine_volume_remove(prune->req->engine, volume->name, false, &ignored) < 0)
        return;
    prune->reclaimed += size;
    note_removed(prune, volume->name);
}

int api_volume_prune(struct request *req, struct error *err)
{
    static atomic_flag turn = ATOMIC_FLAG_INIT;
    CLEANUP(prune_done) struct prune prune;
    CLEANUP(map_done) struct map uses = {};
    struct volume **list;
    size_t count;

    if (prune_begin_volumes(&prune, req, err) < 0 || turn_take(&prune, &turn, err) < 0)
        return -1;
    if (engine_volume_list(req->engine, &list, &count, err) < 0)
        return -1;
    engine_volume_uses(req->engine, &uses);
    for (size_t i = 0; i < count && !http_is_cancelled(req->exchange); i++)
        prune_volume(&prune, list[i], &uses);
    volume_list_free(list, count);
    return prune_reply(&prune, "volume", "VolumesDeleted", true, false, err);
}

/* ---- networks ---- */

int prune_begin_networks(struct prune *prune, struct request *req, struct error *err)
{
    static const char *const accepted[] = { "label", "label!", "until", NULL };

    return begin(prune, req, accepted, err);
}

bool prune_takes_network(const struct prune *prune, const struct network *network)
{
    return !network_is_predefined(network) && !network->is_config_only &&
           is_old_enough(prune, network->created_ns) &&
           filters_match_labels(&prune->filters, &network->labels);
}

static void prune_network(struct prune *prune, const struct network *network)
{
    struct error ignored;

    if (!prune_takes_network(prune, network))
        return;
    /* One with endpoints refuses. */
    if (engine_network_remove(prune->req->engine, network->id, &ignored) == 0)
        note_removed(prune, network->name);
}

int api_network_prune(struct request *req, struct error *err)
{
    static atomic_flag turn = ATOMIC_FLAG_INIT;
    CLEANUP(prune_done) struct prune prune;
    struct network **list;
    size_t count;

    if (prune_begin_networks(&prune, req, err) < 0 || turn_take(&prune, &turn, err) < 0)
        return -1;
    if (engine_network_list(req->engine, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count && !http_is_cancelled(req->exchange); i++)
        prune_network(&prune, list[i]);
    network_list_free(list, count);
    return prune_reply(&prune, "network", "NetworksDeleted", false, true, err);
}
