#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "spec/names.h"

#include "base/banned.h"

static void fill(struct str *table)
{
    name_table_add(table, "10.0.0.2", NULL, "web web-alias 0123456789ab");
    name_table_add(table, "10.0.0.3", "fd00::3", "db web-alias");
    name_table_add(table, NULL, "fd00::4", "six");
}

static size_t find(const struct str *table, const char *name, int family, bool *is_known,
                   char texts[4][INET6_ADDRSTRLEN])
{
    struct name_address found[4];
    size_t count;

    *is_known = false;
    count = name_table_find(str_text(table), table->length, name, family, found, 4, is_known);
    for (size_t i = 0; i < count; i++)
        inet_ntop(family, found[i].bytes, texts[i], INET6_ADDRSTRLEN);
    return count;
}

Test(names, are_found_with_all_their_addresses)
{
    CLEANUP(str_done) struct str table = {};
    char texts[4][INET6_ADDRSTRLEN];
    bool is_known;

    fill(&table);
    cr_assert_eq(find(&table, "WEB", AF_INET, &is_known, texts), 1);
    cr_expect_str_eq(texts[0], "10.0.0.2");
    cr_assert_eq(find(&table, "web-alias", AF_INET, &is_known, texts), 2);
    cr_expect_str_eq(texts[1], "10.0.0.3");
    cr_assert_eq(find(&table, "web-alias", AF_INET6, &is_known, texts), 1);
    cr_expect_str_eq(texts[0], "fd00::3");
}

Test(names, are_known_without_an_address_of_that_kind)
{
    CLEANUP(str_done) struct str table = {};
    char texts[4][INET6_ADDRSTRLEN];
    bool is_known;

    fill(&table);
    cr_expect_eq(find(&table, "web", AF_INET6, &is_known, texts), 0);
    cr_expect(is_known);
    cr_expect_eq(find(&table, "we", AF_INET, &is_known, texts), 0);
    cr_expect_not(is_known);
    cr_expect_eq(find(&table, "10.0.0.2", AF_INET, &is_known, texts), 0);
    cr_expect_not(is_known, "an address is no name");
}

Test(names, belong_to_addresses)
{
    CLEANUP(str_done) struct str table = {};
    uint8_t address[16];
    const char *name = NULL;

    fill(&table);
    inet_pton(AF_INET, "10.0.0.3", address);
    cr_expect_eq(name_table_owner(str_text(&table), table.length, AF_INET, address, &name), 2);
    cr_expect_eq(strncmp(name, "db ", 3), 0);
    inet_pton(AF_INET6, "fd00::4", address);
    cr_expect_eq(name_table_owner(str_text(&table), table.length, AF_INET6, address, &name), 3);
    inet_pton(AF_INET, "10.0.0.9", address);
    cr_expect_eq(name_table_owner(str_text(&table), table.length, AF_INET, address, &name), 0);
}

Test(names, servers_of_a_resolv_conf)
{
    CLEANUP(strv_done) struct strv servers = {};

    resolv_servers("# x\nnameserver 10.0.0.1\nsearch nameserver\nnameserver nonsense\n"
                   "nameserver fe80::1\nnameserver",
                   &servers);
    cr_assert_eq(servers.count, 2);
    cr_expect_str_eq(servers.items[0], "10.0.0.1");
    cr_expect_str_eq(servers.items[1], "fe80::1");
}
