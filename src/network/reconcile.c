/* The record and the kernel, compared: what is missing is made again, what is left over is removed,
 * or both are told. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "network/inlet.h"
#include "network/internal.h"
#include "network/link.h"
#include "network/names.h"

#include "base/banned.h"

/* ---- both at one time ---- */

struct view {
    struct networks *networks;
    struct network **list;
    size_t count;
    struct endpoint_rows rows;
    struct link *links;
    size_t link_count;
    struct strv *out;
};

static void view_done(struct view *view)
{
    network_list_free(view->list, view->count);
    endpoint_rows_done(&view->rows);
    free(view->links);
}
CLEANUP_VALUE(view_done, struct view)

static const struct network *view_network(const struct view *view, const char *id)
{
    for (size_t i = 0; i < view->count; i++)
        if (strcmp(view->list[i]->id, id) == 0)
            return view->list[i];
    return NULL;
}

static bool is_our_bridge(const struct view *view, const char *name)
{
    for (size_t i = 0; i < view->count; i++)
        if (text_equal(view->list[i]->bridge_name, name))
            return true;
    return false;
}

static bool is_endpoint_of_ours(const struct view *view, const char *link_name)
{
    for (size_t i = 0; i < view->rows.count; i++) {
        char name[IFNAMSIZ];

        endpoint_link_name(view->networks, view->rows.items[i].endpoint.id, name);
        if (strcmp(name, link_name) == 0)
            return true;
    }
    return false;
}

/* Links first: who attaches a container meanwhile records it before there is a link, so what is
 * seen here without a record has none. */
static int view_open(struct view *view, struct networks *networks, struct error *err)
{
    view->networks = networks;
    if (link_list(&view->links, &view->link_count, err) < 0 ||
        record_endpoints(networks, NULL, NULL, &view->rows, err) < 0)
        return -1;
    return network_list(networks, &view->list, &view->count, err);
}

/* A host's end of a pair that nobody has recorded, and that nobody is about to remove. */
static bool is_leftover(const struct view *view, const struct link *link)
{
    const struct link *master = NULL;

    for (size_t m = 0; link->master && m < view->link_count; m++)
        if (view->links[m].index == link->master)
            master = &view->links[m];
    return strcmp(link->kind, "veth") == 0 && is_endpoint_link_name(view->networks, link->name) &&
           (!master || is_our_bridge(view, master->name)) &&
           !is_endpoint_of_ours(view, link->name) &&
           !helper_will_remove_link(view->networks->helper, link->name);
}

/* ---- making it right ---- */

static int drop_dead(struct networks *networks, bool (*is_alive)(void *data, const char *id),
                     void *data, struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};

    if (record_endpoints(networks, NULL, NULL, &rows, err) < 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++) {
        const struct endpoint *endpoint = &rows.items[i].endpoint;

        if (!is_alive(data, endpoint->container_id) &&
            endpoint_detach(networks, endpoint->container_id, NULL, err) < 0)
            return -1;
    }
    return 0;
}

/* Where a bridge was removed, its links are still there but belong to none. */
static int rejoin_link(const struct view *view, const struct endpoint *endpoint, struct error *err)
{
    const struct network *network = view_network(view, endpoint->network_id);
    const struct link *link, *bridge;
    bool is_isolated, is_hairpin;
    char name[IFNAMSIZ];

    endpoint_link_name(view->networks, endpoint->id, name);
    link = link_find(view->links, view->link_count, name);
    bridge = network ? link_find(view->links, view->link_count, network->bridge_name) : NULL;
    if (!link || !bridge || link->master == bridge->index)
        return 0;
    network_port_modes(view->networks, network_entry((struct network *)network), &is_isolated,
                       &is_hairpin);
    if (link_join(link->index, bridge->index, err) < 0 ||
        ((is_isolated || is_hairpin) &&
         link_set_port_modes(link->index, is_isolated, is_hairpin, err) < 0))
        return error_context(err, "put %s onto bridge %s", name, bridge->name);
    return 0;
}

static int repair_links(struct networks *networks, struct error *err)
{
    CLEANUP(view_done) struct view view = {};

    if (view_open(&view, networks, err) < 0)
        return -1;
    for (size_t i = 0; i < view.rows.count; i++)
        if (rejoin_link(&view, &view.rows.items[i].endpoint, err) < 0)
            return -1;
    for (size_t i = 0; i < view.link_count; i++)
        if (is_leftover(&view, &view.links[i]) && link_remove(view.links[i].name, err) < 0)
            return -1;
    return 0;
}

bool networks_have_link(void *data, const char *name)
{
    struct networks *networks = data;
    struct inlet inlet = inlet_of(networks->engine_id);
    bool have = networks->is_strict &&
                (strcmp(name, inlet.name) == 0 || strcmp(name, inlet.outer_name) == 0);

    mutex_lock(&networks->lock);
    for (size_t i = 0; i < networks->count; i++)
        have |= !text_is_empty(networks->list[i]->bridge_name) &&
                strcmp(networks->list[i]->bridge_name, name) == 0;
    mutex_unlock(&networks->lock);
    return have;
}

/* Rules name the inlet by its number, and a new one has another. */
static int repair_inlet(struct networks *networks, struct error *err)
{
    struct inlet inlet = inlet_of(networks->engine_id);
    bool was_there = if_nametoindex(inlet.name) != 0;

    if (!networks->is_strict)
        return 0;
    if (inlet_assert(&inlet, err) < 0)
        return -1;
    return was_there ? 0 : firewall_rebuild(networks->firewall, err);
}

int networks_repair_links(void *data, struct error *err)
{
    struct networks *networks = data;

    if (repair_inlet(networks, err) < 0 || networks_assert_links(networks, err) < 0)
        return -1;
    return repair_links(networks, err);
}

int networks_reconcile(struct networks *networks,
                       bool (*is_alive)(void *data, const char *container_id), void *data,
                       struct error *err)
{
    return drop_dead(networks, is_alive, data, err) < 0 || repair_links(networks, err) < 0
               ? -1
               : names_write_all(networks, err);
}

/* ---- comparing ---- */

static void verify_bridges(const struct view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        const char *name = view->list[i]->bridge_name;
        bool is_bridge = !text_is_empty(name);
        const struct link *link = is_bridge ? link_find(view->links, view->link_count, name) : NULL;

        if (is_bridge && !link)
            strv_add_format(view->out, "network %s: link %s is missing", view->list[i]->name, name);
        else if (is_bridge && !link->is_up)
            strv_add_format(view->out, "network %s: link %s is down", view->list[i]->name, name);
    }
}

static void verify_endpoints(const struct view *view)
{
    for (size_t i = 0; i < view->rows.count; i++) {
        const struct endpoint *endpoint = &view->rows.items[i].endpoint;
        const struct network *network = view_network(view, endpoint->network_id);
        const struct link *link, *bridge;
        char name[IFNAMSIZ];

        endpoint_link_name(view->networks, endpoint->id, name);
        link = link_find(view->links, view->link_count, name);
        bridge = network ? link_find(view->links, view->link_count, network->bridge_name) : NULL;
        if (!network)
            strv_add_format(view->out, "endpoint %.12s: its network %.12s is not in the record",
                            endpoint->id, endpoint->network_id);
        if (network && !network_entry((struct network *)network)->driver->has_bridge)
            continue; /* nothing of it is outside of its namespace */
        if (!link)
            strv_add_format(view->out, "endpoint %.12s of container %.12s: link %s is missing",
                            endpoint->id, endpoint->container_id, name);
        else if (bridge && link->master != bridge->index)
            strv_add_format(view->out, "endpoint %.12s of container %.12s: link %s is not on %s",
                            endpoint->id, endpoint->container_id, name, bridge->name);
    }
}

/* Bridges of other engines look alike, so only names that hold our id are ours for sure. */
static bool looks_like_our_bridge(const struct networks *networks, const char *name)
{
    size_t length = strlen(networks->engine_id);

    if (length == 0)
        return strcmp(name, "berth0") == 0;
    return text_starts(name, "berth0-") &&
           strcmp(name + strlen("berth0-"), networks->engine_id) == 0;
}

static int verify_leaving(const struct view *view, struct error *err)
{
    CLEANUP(strv_done) struct strv leaving = {};

    if (record_leaving_links(view->networks, &leaving, err) < 0)
        return -1;
    for (size_t i = 0; i < leaving.count; i++)
        if (link_find(view->links, view->link_count, leaving.items[i]) &&
            !is_our_bridge(view, leaving.items[i]))
            strv_add_format(view->out, "link %s belongs to a network that was removed",
                            leaving.items[i]);
    return 0;
}

static void verify_leftovers(const struct view *view)
{
    for (size_t i = 0; i < view->link_count; i++) {
        const struct link *link = &view->links[i];

        if (looks_like_our_bridge(view->networks, link->name) && !is_our_bridge(view, link->name))
            strv_add_format(view->out, "bridge %s is not in the record", link->name);
        if (is_leftover(view, link))
            strv_add_format(view->out, "link %s is not in the record", link->name);
    }
}

static void verify_inlet(const struct view *view)
{
    struct inlet inlet = inlet_of(view->networks->engine_id);
    const struct link *link = link_find(view->links, view->link_count, inlet.name);

    if (view->networks->is_strict && (!link || !link->is_up))
        strv_add_format(view->out, "firewall mode strict: link %s is %s", inlet.name,
                        link ? "down" : "missing");
    else if (!view->networks->is_strict && link)
        strv_add_format(view->out, "link %s is not of this mode of the firewall", inlet.name);
}

int networks_verify(struct networks *networks, struct strv *out, struct error *err)
{
    CLEANUP(view_done) struct view view = { .out = out };

    if (view_open(&view, networks, err) < 0)
        return -1;
    verify_bridges(&view);
    verify_endpoints(&view);
    verify_leftovers(&view);
    verify_inlet(&view);
    if (verify_leaving(&view, err) < 0 || names_verify(networks, out, err) < 0)
        return -1;
    return firewall_verify(networks->firewall, out, err);
}
