#include <criterion/criterion.h>
#include <string.h>

#include "network/subnet6.h"

static struct subnet6 parsed(const char *text)
{
    struct subnet6 subnet = {};
    struct error err = {};

    cr_assert_eq(subnet6_parse(text, &subnet, &err), 0, "%s", err.text);
    return subnet;
}

static void expect_address(struct in6_addr address, const char *expected)
{
    char text[ADDRESS6_TEXT_SIZE];

    address6_format(&address, text);
    cr_expect_str_eq(text, expected);
}

Test(subnet6, ends_at_any_bit)
{
    struct subnet6 subnet = parsed("fd00::1234/70");

    expect_address(subnet6_first(&subnet), "fd00::");
    expect_address(subnet6_last(&subnet), "fd00::3ff:ffff:ffff:ffff");
    expect_address(subnet6_at(&subnet, 0x1ffff), "fd00::1:ffff");
}

Test(subnet6, overlap_is_mutual)
{
    struct subnet6 wide = parsed("fd00::/48"), narrow = parsed("fd00:0:0:7::/64"),
                   other = parsed("fd01::/64");

    cr_expect(subnet6_overlaps(&wide, &narrow));
    cr_expect(subnet6_overlaps(&narrow, &wide));
    cr_expect_not(subnet6_overlaps(&wide, &other));
}

Test(subnet6, neighbours_have_hardware_addresses_of_their_own)
{
    static const char *const addresses[][2] = {
        { "fd00::2", "02:42:fd:00:00:02" },
        { "fd00::1:3", "02:42:fd:01:00:03" },
        { "fd00:1::ff00:3", "02:42:02:00:00:02" },
    };

    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct in6_addr address;
        struct error err = {};
        char mac[MAC_TEXT_SIZE];

        cr_assert_eq(address6_parse(addresses[i][0], &address, &err), 0, "%s", err.text);
        mac_from_address6(&address, mac);
        cr_expect_str_eq(mac, addresses[i][1], "%s: %s", addresses[i][0], mac);
    }
}

Test(subnet6, refuses_what_is_none)
{
    static const char *const texts[] = { "fd00::", "fd00::/129", "10.0.0.0/8", "zz::/64", "" };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct subnet6 subnet;
        struct error err = {};

        cr_expect_eq(subnet6_parse(texts[i], &subnet, &err), -1, "%s", texts[i]);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}

static bool is_low(const struct in6_addr *address, void *data)
{
    return address->s6_addr[15] < *(uint8_t *)data;
}

Test(subnet6, hands_out_free_addresses)
{
    struct subnet6 subnet = parsed("fd00::/64"), small = parsed("fd00::8/126");
    struct in6_addr address;
    uint8_t limit = 5;

    cr_assert(address6_choose(&subnet, &subnet, 9, is_low, &limit, &address));
    expect_address(address, "fd00::9");
    cr_assert(address6_choose(&subnet, &subnet, 2, is_low, &limit, &address));
    expect_address(address, "fd00::5");
    limit = 255;
    cr_expect_not(address6_choose(&subnet, &small, 0, is_low, &limit, &address));
}

Test(subnet6, local_ones_differ_by_index_only)
{
    struct subnet6 first = subnet6_local("seed", 0), second = subnet6_local("seed", 1);

    cr_expect_eq(first.address.s6_addr[0], 0xfd);
    cr_expect_eq(memcmp(&first.address, &second.address, 6), 0);
    cr_expect_not(subnet6_overlaps(&first, &second));
}
