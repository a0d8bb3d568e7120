#include "linux/capability.h"

#include <criterion/criterion.h>

#include "base/banned.h"

static const struct {
    const char *name;
    int number;
} names[] = {
    { "CAP_CHOWN", 0 },      { "cap_chown", 0 },  { "chown", 0 },
    { "CAP_SYS_ADMIN", 21 }, { "SYS_ADMIN", 21 }, { "CAP_AUDIT_READ", 37 },
    { "CAP_", -1 },          { "", -1 },          { "CAP_NO_SUCH", -1 },
};

Test(capability, knows_names)
{
    for (size_t i = 0; i < COUNT(names); i++)
        cr_expect_eq(capability_number(names[i].name), names[i].number, "%s", names[i].name);
    for (int i = 0; i <= capability_last(); i++)
        cr_expect_eq(capability_number(capability_name(i)), i, "%d", i);
    cr_expect_null(capability_name(-1));
    cr_expect_null(capability_name(64));
}

Test(capability, makes_masks_of_what_it_knows)
{
    CLEANUP(strv_done) struct strv list = {};

    strv_add(&list, "CAP_CHOWN");
    strv_add(&list, "CAP_KILL");
    strv_add(&list, "CAP_FUTURE");
    cr_expect_eq(capability_mask(&list), UINT64_C(1) << 0 | UINT64_C(1) << 5);
}

Test(capability, takes_away)
{
    const uint64_t keep = UINT64_C(1) << 0 | UINT64_C(1) << 8; /* CHOWN, SETPCAP */
    struct capability_sets sets, now;
    struct error err = {};

    capability_get(&sets);
    cr_assert_eq(sets.bounding & keep, keep, "these tests run as root");
    cr_assert_eq(capability_drop_bounding(keep, &err), 0, "%s", err.text);
    sets.effective = sets.permitted = sets.inheritable = keep;
    cr_assert_eq(capability_set(&sets, &err), 0, "%s", err.text);
    cr_assert_eq(capability_set_ambient(1, &err), 0, "%s", err.text);
    capability_get(&now);
    cr_expect_eq(now.bounding, keep);
    cr_expect_eq(now.effective, keep);
    cr_expect_eq(now.permitted, keep);
    cr_expect_eq(now.inheritable, keep);
    cr_expect_eq(now.ambient, 1);
    sets.permitted = sets.effective = keep | 2;
    cr_expect_lt(capability_set(&sets, &err), 0, "what was given up came back");
}
