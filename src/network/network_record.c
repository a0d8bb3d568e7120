/* The tables: which networks there are (a JSON document each), who is attached, what is published,
 * and which links are still to be removed. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "network/internal.h"

#include "base/banned.h"

/* clang-format off */
static const char *const steps[] = {
    "CREATE TABLE network ("
    " id TEXT PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE,"
    " created_ns INTEGER NOT NULL,"
    " subnet TEXT NOT NULL," /* with the gateway's address; empty without a bridge */
    " is_subnet_chosen INTEGER NOT NULL,"
    " document TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE endpoint ("
    " id TEXT PRIMARY KEY,"
    " network_id TEXT NOT NULL,"
    " container_id TEXT NOT NULL,"
    " container_name TEXT,"
    " address INTEGER NOT NULL,"
    " prefix_length INTEGER NOT NULL,"
    " mac_address TEXT NOT NULL,"
    " interface_name TEXT NOT NULL,"
    " aliases TEXT,"
    " UNIQUE (network_id, address),"
    " UNIQUE (container_id, network_id)) WITHOUT ROWID;"
    "CREATE TABLE port ("
    " endpoint_id TEXT NOT NULL,"
    " position INTEGER NOT NULL,"
    " protocol TEXT NOT NULL,"
    " host_ip TEXT NOT NULL,"
    " host_port INTEGER NOT NULL,"
    " container_port INTEGER NOT NULL,"
    " PRIMARY KEY (endpoint_id, position)) WITHOUT ROWID;"
    "CREATE INDEX port_number ON port (host_port, protocol);",

    "ALTER TABLE endpoint RENAME COLUMN aliases TO names;" /* separated by blanks */
    "ALTER TABLE endpoint ADD COLUMN gateway_priority INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE endpoint ADD COLUMN address6 TEXT NOT NULL DEFAULT '';"
    "CREATE UNIQUE INDEX endpoint_address6 ON endpoint (network_id, address6) WHERE address6 != '';",

    "ALTER TABLE network ADD COLUMN subnet6 TEXT NOT NULL DEFAULT '';", /* as subnet */

    "CREATE TABLE leaving_link (name TEXT PRIMARY KEY) WITHOUT ROWID;", /* of removed networks */

    /* An address of 0: without IPv4. Many may have none. */
    "CREATE TABLE endpoint_ ("
    " id TEXT PRIMARY KEY,"
    " network_id TEXT NOT NULL,"
    " container_id TEXT NOT NULL,"
    " container_name TEXT,"
    " address INTEGER NOT NULL,"
    " prefix_length INTEGER NOT NULL,"
    " mac_address TEXT NOT NULL,"
    " interface_name TEXT NOT NULL,"
    " names TEXT,"
    " gateway_priority INTEGER NOT NULL,"
    " address6 TEXT NOT NULL,"
    " UNIQUE (container_id, network_id)) WITHOUT ROWID;"
    "INSERT INTO endpoint_ SELECT id, network_id, container_id, container_name, address,"
    " prefix_length, mac_address, interface_name, names, gateway_priority, address6 FROM endpoint;"
    "DROP TABLE endpoint;"
    "ALTER TABLE endpoint_ RENAME TO endpoint;"
    "CREATE UNIQUE INDEX endpoint_address ON endpoint (network_id, address) WHERE address != 0;"
    "CREATE UNIQUE INDEX endpoint_address6 ON endpoint (network_id, address6) WHERE address6 != '';",
};
/* clang-format on */

int record_migrate(struct database *database, struct error *err)
{
    return database_migrate(database, "network", steps, COUNT(steps), err);
}

/* ---- networks ---- */

static int load_one(struct networks *networks, const struct query *query, struct error *err)
{
    struct network_entry *entry = NEW(struct network_entry);
    CLEANUP(network_unref) struct network *network = &entry->network;
    const char *document = query_text(query, 2);
    const char *subnet = query_text(query, 0);

    atomic_init(&entry->references, 1);
    if (json_decode(network_fields, document, strlen(document), network, err) < 0)
        return error_context(err, "record of a network");
    entry->driver = network_driver_find(network->driver);
    if (!entry->driver)
        return error_set(err, ERROR_INTERNAL, "record of network %s: driver %s is unknown",
                         network->name, network->driver);
    entry->is_subnet_chosen = query_int64(query, 1) != 0;
    if (network->enable_ipv6 && entry->driver->has_endpoints &&
        subnet6_parse(query_text(query, 3), &entry->subnet6, err) < 0)
        return error_context(err, "record of network %s", network->name);
    if (entry->driver->has_endpoints &&
        ((network->enable_ipv4 && subnet_parse(subnet, &entry->subnet, err) < 0) ||
         entry->driver->read_options(networks, entry, err) < 0))
        return error_context(err, "record of network %s", network->name);
    networks_add(networks, TAKE(network));
    return 0;
}

int record_networks_load(struct networks *networks, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int result;

    if (database_query(networks->database, &query, err,
                       "SELECT subnet, is_subnet_chosen, document, subnet6 FROM network "
                       "ORDER BY created_ns, id",
                       "") < 0)
        return -1;
    while ((result = query_next(query, err)) > 0)
        if (load_one(networks, query, err) < 0)
            return -1;
    return result;
}

static int write_network(struct networks *networks, const char *sql, struct network *network,
                         struct error *err)
{
    const struct network_entry *entry = network_entry(network);
    CLEANUP(str_done) struct str document = {};
    char subnet[SUBNET_TEXT_SIZE] = "", subnet6[SUBNET6_TEXT_SIZE] = "";

    if (entry->driver->has_endpoints && network->enable_ipv4)
        subnet_format(&entry->subnet, subnet);
    if (entry->driver->has_endpoints && network->enable_ipv6)
        subnet6_format(&entry->subnet6, subnet6);
    json_encode(network_fields, network, &document);
    return database_run_alone(networks->database, DURABLE, err, sql, "ssisiss", network->id,
                              network->name, network->created_ns, subnet,
                              (int64_t)entry->is_subnet_chosen, str_text(&document), subnet6) < 0
               ? -1
               : 0;
}

int record_network_insert(struct networks *networks, struct network *network, struct error *err)
{
    return write_network(networks,
                         "INSERT INTO network (id, name, created_ns, subnet, is_subnet_chosen, "
                         "document, subnet6) VALUES (?, ?, ?, ?, ?, ?, ?)",
                         network, err);
}

int record_network_update(struct networks *networks, struct network *network, struct error *err)
{
    return write_network(networks,
                         "REPLACE INTO network (id, name, created_ns, subnet, is_subnet_chosen, "
                         "document, subnet6) VALUES (?, ?, ?, ?, ?, ?, ?)",
                         network, err);
}

static int delete_unused(struct networks *networks, const struct network *network,
                         struct error *err)
{
    int64_t changed = database_run(networks->database, err,
                                   "DELETE FROM network WHERE id = ?1 AND NOT EXISTS "
                                   "(SELECT 1 FROM endpoint WHERE network_id = ?1)",
                                   "s", network->id);

    if (changed == 0)
        error_set(err, ERROR_FORBIDDEN,
                  "error while removing network: network %s has active endpoints", network->id);
    if (changed <= 0)
        return -1;
    return text_is_empty(network->bridge_name)
               ? 0
               : (int)database_run(networks->database, err,
                                   "INSERT OR IGNORE INTO leaving_link (name) VALUES (?)", "s",
                                   network->bridge_name);
}

int record_network_delete(struct networks *networks, const struct network *network,
                          struct error *err)
{
    if (database_begin(networks->database, DURABLE, err) < 0)
        return -1;
    if (delete_unused(networks, network, err) < 0) {
        database_rollback(networks->database);
        return -1;
    }
    return database_commit(networks->database, err);
}

int record_leaving_links(struct networks *networks, struct strv *out, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int result;

    if (database_query(networks->database, &query, err, "SELECT name FROM leaving_link", "") < 0)
        return -1;
    while ((result = query_next(query, err)) > 0)
        strv_add(out, query_text(query, 0));
    return result;
}

int record_link_left(struct networks *networks, const char *name, struct error *err)
{
    return database_run(networks->database, err, "DELETE FROM leaving_link WHERE name = ?", "s",
                        name) < 0
               ? -1
               : 0;
}

/* ---- endpoints ---- */

void endpoint_rows_done(struct endpoint_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        endpoint_done(&rows->items[i].endpoint);
        free(rows->items[i].container_name);
        free(rows->items[i].names);
    }
    free(rows->items);
    *rows = (struct endpoint_rows){};
}

static struct endpoint_row *add_row(struct endpoint_rows *rows)
{
    if (rows->count == rows->capacity) {
        rows->capacity = MAX(rows->capacity * 2, (size_t)4);
        rows->items = xrealloc(rows->items, rows->capacity, sizeof(rows->items[0]));
    }
    rows->items[rows->count] = (struct endpoint_row){};
    return &rows->items[rows->count++];
}

static void read_port(const struct query *query, struct endpoint_row *row)
{
    struct port_mapping *port;

    if (!query_text(query, 8))
        return;
    port = json_list_add(&row->endpoint.ports, sizeof(*port));
    snprintf(port->protocol, sizeof(port->protocol), "%s", query_text(query, 8));
    snprintf(port->host_ip, sizeof(port->host_ip), "%s", query_text(query, 9));
    port->host_port = (uint16_t)query_int64(query, 10);
    port->container_port = (uint16_t)query_int64(query, 11);
}

/* One line per port; those of one endpoint follow each other. */
static void read_row(const struct query *query, struct endpoint_rows *rows)
{
    struct endpoint_row *row = rows->count ? &rows->items[rows->count - 1] : NULL;
    char address[ADDRESS_TEXT_SIZE] = "";

    if (!row || strcmp(row->endpoint.id, query_text(query, 0)) != 0) {
        row = add_row(rows);
        row->endpoint.id = xstrdup(query_text(query, 0));
        row->endpoint.network_id = xstrdup(query_text(query, 1));
        row->endpoint.container_id = xstrdup(query_text(query, 2));
        row->container_name = xstrdup(query_text(query, 3));
        row->address = (uint32_t)query_int64(query, 4);
        if (row->address != 0)
            address_format(row->address, address);
        row->endpoint.address = xstrdup(address);
        row->endpoint.prefix_length = (int)query_int64(query, 5);
        row->endpoint.mac_address = xstrdup(query_text(query, 6));
        row->endpoint.interface_name = xstrdup(query_text(query, 7));
        row->names = xstrdup(query_text(query, 12));
        row->endpoint.gateway_priority = query_int64(query, 13);
        row->endpoint.address6 = xstrdup(query_text(query, 14));
    }
    read_port(query, row);
}

#define SELECT_ENDPOINTS                                                                           \
    "SELECT e.id, e.network_id, e.container_id, e.container_name, e.address, e.prefix_length, "    \
    "e.mac_address, e.interface_name, p.protocol, p.host_ip, p.host_port, p.container_port, "      \
    "e.names, e.gateway_priority, e.address6 "                                                     \
    "FROM endpoint e LEFT JOIN port p ON p.endpoint_id = e.id "
#define IN_ORDER " ORDER BY e.container_id, e.interface_name, e.id, p.position"

static int select_endpoints(struct networks *networks, const char *network_id,
                            const char *container_id, struct query **out, struct error *err)
{
    struct database *database = networks->database;

    if (network_id && container_id)
        return database_query(database, out, err,
                              SELECT_ENDPOINTS
                              "WHERE e.container_id = ? AND e.network_id = ?" IN_ORDER,
                              "ss", container_id, network_id);
    if (container_id)
        return database_query(database, out, err,
                              SELECT_ENDPOINTS "WHERE e.container_id = ?" IN_ORDER, "s",
                              container_id);
    if (network_id)
        return database_query(database, out, err,
                              SELECT_ENDPOINTS "WHERE e.network_id = ?" IN_ORDER, "s", network_id);
    return database_query(database, out, err, SELECT_ENDPOINTS IN_ORDER, "");
}

int record_endpoints(struct networks *networks, const char *network_id, const char *container_id,
                     struct endpoint_rows *out, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};
    int result;

    if (select_endpoints(networks, network_id, container_id, &query, err) < 0)
        return -1;
    while ((result = query_next(query, err)) > 0)
        read_row(query, &rows);
    if (result < 0)
        return -1;
    *out = rows;
    rows = (struct endpoint_rows){};
    return 0;
}

int record_ports_insert(struct networks *networks, const struct endpoint *endpoint,
                        struct error *err)
{
    for (size_t i = 0; i < endpoint->ports.count; i++) {
        const struct port_mapping *port = &JSON_ITEMS(&endpoint->ports, struct port_mapping)[i];

        if (database_run(networks->database, err,
                         "INSERT INTO port SELECT ?1, coalesce(max(position) + 1, 0), ?2, ?3, ?4, "
                         "?5 FROM port WHERE endpoint_id = ?1",
                         "sssii", endpoint->id, port->protocol, port->host_ip,
                         (int64_t)port->host_port, (int64_t)port->container_port) < 0)
            return -1;
    }
    return 0;
}

static int delete_ports(struct networks *networks, const struct endpoint *endpoint,
                        struct error *err)
{
    for (size_t i = 0; i < endpoint->ports.count; i++) {
        const struct port_mapping *port = &JSON_ITEMS(&endpoint->ports, struct port_mapping)[i];

        if (database_run(networks->database, err,
                         "DELETE FROM port WHERE endpoint_id = ? AND protocol = ? AND host_ip = ? "
                         "AND host_port = ? AND container_port = ?",
                         "sssii", endpoint->id, port->protocol, port->host_ip,
                         (int64_t)port->host_port, (int64_t)port->container_port) < 0)
            return -1;
    }
    return 0;
}

int record_ports_delete(struct networks *networks, const struct endpoint *endpoint,
                        struct error *err)
{
    if (database_begin(networks->database, RELAXED, err) < 0)
        return -1;
    if (delete_ports(networks, endpoint, err) < 0) {
        database_rollback(networks->database);
        return -1;
    }
    return database_commit(networks->database, err);
}

int record_endpoint_insert(struct networks *networks, const struct endpoint_row *row,
                           struct error *err)
{
    const struct endpoint *endpoint = &row->endpoint;
    int64_t changed = database_run(
        networks->database, err,
        "INSERT INTO endpoint (id, network_id, container_id, container_name, address, "
        "prefix_length, mac_address, interface_name, names, gateway_priority, address6) "
        "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 "
        "WHERE EXISTS (SELECT 1 FROM network WHERE id = ?2)",
        "ssssiisssis", endpoint->id, endpoint->network_id, endpoint->container_id,
        row->container_name, (int64_t)row->address, (int64_t)endpoint->prefix_length,
        endpoint->mac_address, endpoint->interface_name, row->names, endpoint->gateway_priority,
        endpoint->address6 ? endpoint->address6 : "");

    if (changed < 0)
        return -1;
    if (changed == 0)
        return error_set(err, ERROR_NOT_FOUND, "network %s not found", endpoint->network_id);
    return record_ports_insert(networks, endpoint, err);
}

/* One statement that others may see or not see. */
static int run_alone(struct networks *networks, int64_t changed, struct error *err)
{
    if (changed < 0) {
        database_rollback(networks->database);
        return -1;
    }
    return database_commit(networks->database, err);
}

int record_endpoint_rename(struct networks *networks, const struct endpoint_row *row,
                           struct error *err)
{
    if (database_begin(networks->database, RELAXED, err) < 0)
        return -1;
    return run_alone(networks,
                     database_run(networks->database, err,
                                  "UPDATE endpoint SET container_name = ?, names = ? WHERE id = ?",
                                  "sss", row->container_name, row->names, row->endpoint.id),
                     err);
}

int record_ports_move(struct networks *networks, const char *from_id, const char *to_id,
                      struct error *err)
{
    if (database_begin(networks->database, RELAXED, err) < 0)
        return -1;
    return run_alone(networks,
                     database_run(networks->database, err,
                                  "UPDATE port SET endpoint_id = ? WHERE endpoint_id = ?", "ss",
                                  to_id, from_id),
                     err);
}

static int delete_endpoints(struct networks *networks, const char *container_id,
                            const char *network_id, struct error *err)
{
    struct database *database = networks->database;

    if (database_run(database, err,
                     "DELETE FROM port WHERE endpoint_id IN (SELECT id FROM endpoint "
                     "WHERE container_id = ?1 AND (?2 IS NULL OR network_id = ?2))",
                     "ss", container_id, network_id) < 0 ||
        database_run(database, err,
                     "DELETE FROM endpoint "
                     "WHERE container_id = ?1 AND (?2 IS NULL OR network_id = ?2)",
                     "ss", container_id, network_id) < 0)
        return -1;
    return 0;
}

int record_endpoints_delete(struct networks *networks, const char *container_id,
                            const char *network_id, struct error *err)
{
    if (database_begin(networks->database, RELAXED, err) < 0)
        return -1;
    if (delete_endpoints(networks, container_id, network_id, err) < 0) {
        database_rollback(networks->database);
        return -1;
    }
    return database_commit(networks->database, err);
}

bool record_address6_is_taken(struct networks *networks, const char *network_id,
                              const char *address)
{
    CLEANUP(query_close) struct query *query = NULL;

    return database_query(networks->database, &query, NULL,
                          "SELECT 1 FROM endpoint WHERE network_id = ? AND address6 = ?"
                          " AND address6 != ''" /* so that its index serves */,
                          "ss", network_id, address) < 0 ||
           query_next(query, NULL) != 0;
}

bool record_address_is_taken(struct networks *networks, const char *network_id, uint32_t address)
{
    CLEANUP(query_close) struct query *query = NULL;

    return database_query(networks->database, &query, NULL,
                          "SELECT 1 FROM endpoint WHERE network_id = ? AND address = ?"
                          " AND address != 0" /* so that its index serves */,
                          "si", network_id, (int64_t)address) < 0 ||
           query_next(query, NULL) != 0;
}

int64_t record_port_forget(struct networks *networks, const struct port_mapping *port,
                           struct error *err)
{
    return database_run(networks->database, err,
                        "DELETE FROM port WHERE host_port = ?1 AND protocol = ?2 AND "
                        "(instr(host_ip, ':') > 0) = (instr(?3, ':') > 0) AND "
                        "(host_ip = ?3 OR host_ip IN ('0.0.0.0', '::') OR "
                        "?3 IN ('0.0.0.0', '::'))",
                        "iss", (int64_t)port->host_port, port->protocol, port->host_ip);
}

char *record_port_holder(struct networks *networks, const char *protocol, uint16_t host_port)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(networks->database, &query, NULL,
                       "SELECT e.container_name FROM port p JOIN endpoint e ON e.id = "
                       "p.endpoint_id WHERE p.host_port = ? AND p.protocol = ?",
                       "is", (int64_t)host_port, protocol) < 0 ||
        query_next(query, NULL) <= 0)
        return NULL;
    return xstrdup(query_text(query, 0));
}
