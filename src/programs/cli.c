/* berth: the command line. */
#include "cli/command.h"

#include "base/banned.h"

int main(int argument_count, char **arguments)
{
    return cli_main(argument_count, arguments);
}
