#include "network/subnet.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct {
    const char *text;
    bool is_good;
    uint32_t address;
    int prefix_length;
} subnets[] = {
    { "172.17.0.1/16", true, 0xac110001, 16 },
    { "0.0.0.0/0", true, 0, 0 },
    { "10.0.0.1/32", true, 0x0a000001, 32 },
    { "10.0.0.1/33", false },
    { "10.0.0.1", false },
    { "10.0.0/8", false },
    { "10.0.0.1/-1", false },
    { "fe80::1/64", false },
    { "", false },
    { "10.0.0.1/", false },
};

Test(subnet, is_read_from_text)
{
    for (size_t i = 0; i < COUNT(subnets); i++) {
        struct subnet subnet = {};
        struct error err = {};
        char text[SUBNET_TEXT_SIZE];
        int result = subnet_parse(subnets[i].text, &subnet, &err);

        cr_expect_eq(result, subnets[i].is_good ? 0 : -1, "%s", subnets[i].text);
        if (result < 0) {
            cr_expect_eq(err.kind, ERROR_INVALID);
            continue;
        }
        cr_expect_eq(subnet.address, subnets[i].address, "%s", subnets[i].text);
        cr_expect_eq(subnet.prefix_length, subnets[i].prefix_length, "%s", subnets[i].text);
        subnet_format(&subnet, text);
        cr_expect_str_eq(text, subnets[i].text);
    }
}

static struct subnet subnet_of(const char *text)
{
    struct subnet subnet = {};

    cr_assert_eq(subnet_parse(text, &subnet, NULL), 0, "%s", text);
    return subnet;
}

static const struct {
    const char *a, *b;
    bool overlaps;
} pairs[] = {
    { "172.17.0.0/16", "172.17.5.0/24", true },  { "172.17.5.0/24", "172.17.0.1/16", true },
    { "172.17.0.0/16", "172.18.0.0/16", false }, { "10.0.0.1/32", "10.0.0.1/32", true },
    { "10.0.0.0/31", "10.0.0.2/31", false },     { "0.0.0.0/0", "255.255.255.255/32", true },
};

Test(subnet, overlaps_what_shares_an_address)
{
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct subnet a = subnet_of(pairs[i].a), b = subnet_of(pairs[i].b);

        cr_expect_eq(subnet_overlaps(&a, &b), pairs[i].overlaps, "%s %s", pairs[i].a, pairs[i].b);
        cr_expect_eq(subnet_overlaps(&b, &a), pairs[i].overlaps, "%s %s", pairs[i].b, pairs[i].a);
    }
}

/* Lists are separated by blanks. */
static const struct {
    const char *pools, *taken, *wanted;
} choices[] = {
    { "", "", "172.17.0.0/16" },
    { "", "172.17.3.0/24 172.18.0.0/15", "172.20.0.0/16" },
    { "", "172.16.0.0/12", "192.168.0.0/20" },
    { "", "172.16.0.0/12 192.168.16.7/32 192.168.0.0/20", "192.168.32.0/20" },
    { "", "172.16.0.0/12 192.168.0.0/16", "10.64.0.0/24" },
    { "", "172.16.0.0/12 192.168.0.0/16 10.64.0.0/16 10.65.0.1/32", "10.65.1.0/24" },
    { "", "172.16.0.0/12 192.168.0.0/16 10.0.0.0/8", NULL },
    { "base=10.200.0.0/16,size=24", "10.200.0.0/24", "10.200.1.0/24" },
    { "size=24,base=10.200.0.0/24 base=10.9.0.0/16,size=16", "10.200.0.9/32", "10.9.0.0/16" },
    { "base=255.255.255.0/24,size=30", "255.255.255.0/25", "255.255.255.128/30" },
};

Test(subnet, is_chosen_where_nobody_is)
{
    for (size_t i = 0; i < COUNT(choices); i++) {
        CLEANUP(strv_done) struct strv pools = {}, taken_texts = {};
        CLEANUP(subnets_done) struct subnets taken = {};
        struct error err = {};
        struct subnet subnet;
        char text[SUBNET_TEXT_SIZE] = "";

        strv_split(&pools, choices[i].pools, ' ');
        strv_split(&taken_texts, choices[i].taken, ' ');
        for (size_t t = 0; t < taken_texts.count; t++)
            subnets_add(&taken, subnet_of(taken_texts.items[t]));
        if (subnet_choose(&pools, &taken, &subnet, &err) == 0)
            subnet_format(&subnet, text);
        cr_expect_str_eq(text, choices[i].wanted ? choices[i].wanted : "", "%s", err.text);
    }
}

static const char *const bad_pools[] = {
    "",
    "base=10.0.0.0/8",
    "size=24",
    "base=10.0.0.0/24,size=16",
    "base=10.0.0.0/8,size=31",
    "base=10.0.0.0/8,size=24,x=1",
    "base=x,size=24",
};

Test(subnet, pools_that_make_no_sense_are_refused)
{
    for (size_t i = 0; i < COUNT(bad_pools); i++) {
        struct address_pool pool;
        struct error err = {};

        cr_expect_eq(address_pool_parse(bad_pools[i], &pool, &err), -1, "%s", bad_pools[i]);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}

static bool is_listed(uint32_t address, void *data)
{
    char text[ADDRESS_TEXT_SIZE];

    address_format(address, text);
    return strv_contains(data, text);
}

static const struct {
    const char *subnet, *range, *last, *taken, *wanted;
} addresses[] = {
    { "10.0.0.1/24", "10.0.0.1/24", "0.0.0.0", "10.0.0.1", "10.0.0.2" },
    { "10.0.0.1/24", "10.0.0.1/24", "10.0.0.5", "10.0.0.1", "10.0.0.6" },
    { "10.0.0.1/24", "10.0.0.1/24", "10.0.0.5", "10.0.0.6 10.0.0.7", "10.0.0.8" },
    { "10.0.0.1/24", "10.0.0.1/24", "10.0.0.254", "10.0.0.1", "10.0.0.2" },
    { "10.0.0.1/24", "10.0.0.1/24", "10.9.9.9", "10.0.0.1", "10.0.0.2" },
    { "10.0.0.1/24", "10.0.0.128/25", "0.0.0.0", "10.0.0.1", "10.0.0.128" },
    { "10.0.0.1/24", "10.0.0.128/25", "10.0.0.254", "10.0.0.1", "10.0.0.128" },
    { "10.0.0.1/30", "10.0.0.1/30", "0.0.0.0", "10.0.0.1", "10.0.0.2" },
    { "10.0.0.1/30", "10.0.0.1/30", "10.0.0.2", "10.0.0.1 10.0.0.2", "" },
    { "10.0.0.1/31", "10.0.0.1/31", "0.0.0.0", "", "" },
    { "10.0.0.1/32", "10.0.0.1/32", "0.0.0.0", "", "" },
    { "10.0.0.1/24", "10.0.1.0/24", "0.0.0.0", "", "" },
};

Test(subnet, addresses_are_handed_out_in_turn)
{
    for (size_t i = 0; i < COUNT(addresses); i++) {
        CLEANUP(strv_done) struct strv taken = {};
        struct subnet subnet = subnet_of(addresses[i].subnet);
        struct subnet range = subnet_of(addresses[i].range);
        uint32_t last, found;
        char text[ADDRESS_TEXT_SIZE] = "";

        strv_split(&taken, addresses[i].taken, ' ');
        address_parse(addresses[i].last, &last, NULL);
        if (address_choose(&subnet, &range, last, is_listed, &taken, &found))
            address_format(found, text);
        cr_expect_str_eq(text, addresses[i].wanted, "row %zu", i);
    }
}

Test(subnet, mac_follows_the_address)
{
    char text[MAC_TEXT_SIZE];
    uint8_t mac[6];
    struct error err = {};

    mac_from_address(0xac110002, text);
    cr_expect_str_eq(text, "02:42:ac:11:00:02");
    cr_assert_eq(mac_parse("02:42:AC-11:00:0f", mac, &err), 0, "%s", err.text);
    cr_expect_arr_eq(mac, ((uint8_t[]){ 2, 0x42, 0xac, 0x11, 0, 15 }), 6);
    cr_expect_eq(mac_parse("02:42:ac:11:00:0g", mac, &err), -1);
    cr_expect_eq(mac_parse("02:42:ac:11:00", mac, &err), -1);
    cr_expect_eq(mac_parse("03:42:ac:11:00:02", mac, &err), -1, "group address");
}
