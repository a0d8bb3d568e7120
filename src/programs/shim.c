/* berth-shim: the supervisor of one container. See shim/shim.h. */
#include "shim/supervise.h"

#include "base/banned.h"

int main(int argc, char **argv)
{
    return supervisor_main(argc, argv);
}
