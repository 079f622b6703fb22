/* Does nothing for some seconds but load the libraries that adit.exe loads: what Wine does
 * then, it does by itself. */
#include <windows.h>

int main(void)
{
    const char *names[] = {"advapi32", "iphlpapi", "user32", "userenv", "ws2_32", "wtsapi32"};
    for (int i = 0; i < 6; i++) {
        if (!LoadLibraryA(names[i]))
            return 1;
    }
    Sleep(2000);
    return 0;
}
