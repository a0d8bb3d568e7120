/* Terminal modes. */
#include "cli/terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/text.h"

#include "base/banned.h"

static struct termios before;
static bool is_raw;

bool terminal_is(int fd)
{
    return isatty(fd);
}

bool terminal_size(int *out_height, int *out_width)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
        return false;
    *out_height = size.ws_row;
    *out_width = size.ws_col;
    return true;
}

void terminal_raw(void)
{
    struct termios raw;

    if (is_raw || !text_is_empty(getenv("NORAW")) || tcgetattr(STDIN_FILENO, &before) < 0)
        return;
    raw = before;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
        return;
    is_raw = true;
    atexit(terminal_restore);
}

void terminal_restore(void)
{
    if (!is_raw)
        return;
    is_raw = false;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}
