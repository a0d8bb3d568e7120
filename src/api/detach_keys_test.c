#include "api/detach_keys.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/banned.h"

static const struct {
    const char *text;
    int size; /* -1: refused */
    const char *bytes;
} keys[] = {
    { NULL, 2, "\x10\x11" },
    { "", 2, "\x10\x11" },
    { "ctrl-p,ctrl-q", 2, "\x10\x11" },
    { "a", 1, "a" },
    { "a,ctrl-a,z", 3, "a\x01z" },
    { "ctrl-@", 1, "\0" },
    { "ctrl-[", 1, "\x1b" },
    { "ctrl-\\", 1, "\x1c" },
    { "ctrl-_", 1, "\x1f" },
    { "zzz", -1, NULL },
    { "ctrl-", -1, NULL },
    { "ctrl-A", -1, NULL },
    { "ctrl-aa", -1, NULL },
    { "a,,b", -1, NULL },
    { "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,1,2,3,4,5,6,7", -1, NULL },
};

Test(detach_keys, are_read_as_users_write_them)
{
    for (size_t i = 0; i < COUNT(keys); i++) {
        char bytes[DETACH_KEYS_LIMIT];
        size_t size = 0;
        struct error err = {};
        int result = detach_keys_parse(keys[i].text, bytes, &size, &err);

        cr_assert_eq(result, keys[i].size < 0 ? -1 : 0, "%s", keys[i].text);
        if (result == 0) {
            cr_assert_eq(size, (size_t)keys[i].size, "%s", keys[i].text);
            cr_expect_arr_eq(bytes, keys[i].bytes, size, "%s", keys[i].text);
        }
    }
}
