/* berth-shim: the supervisor of one container. See shim/shim.h. */
#include <sys/prctl.h>

#include "shim/supervise.h"

#include "base/banned.h"

int main(int argc, char **argv)
{
    /* It is executed by a descriptor, whose number would be its name otherwise. */
    prctl(PR_SET_NAME, "berth-shim");
    return supervisor_main(argc, argv);
}
