/* Stands for PowerShell: keeps what it was asked beside itself, and answers as WMI does
 * when a shadow copy was made, or was not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

int main(void)
{
    char path[MAX_PATH];
    DWORD n = GetModuleFileNameA(NULL, path, MAX_PATH - 8);
    if (n == 0 || n >= MAX_PATH - 8)
        return 1;
    strcat(path, ".asked");
    FILE *asked = fopen(path, "w");
    if (!asked)
        return 1;
    fprintf(asked, "%s\n", GetCommandLineA());
    fclose(asked);
    puts(getenv("ANSWER") ? getenv("ANSWER") : "6");
    return 0;
}
