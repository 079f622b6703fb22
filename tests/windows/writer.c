/* Writes to the folders that are named, in every way there is: what a watch must see. */
#include <stdio.h>
#include <windows.h>

static HANDLE open(const char *name, DWORD access, DWORD how)
{
    return CreateFileA(name, access, 7, NULL, how, 0, NULL);
}

static void write(void)
{
    DWORD written;
    FILETIME time = {0, 30000000};
    HANDLE file = open("made", GENERIC_WRITE, CREATE_NEW);
    WriteFile(file, "abc", 3, &written, NULL);
    CloseHandle(file);
    MoveFileA("made", "renamed");
    file = open("renamed", FILE_WRITE_ATTRIBUTES, OPEN_EXISTING);
    SetFileTime(file, NULL, NULL, &time);
    CloseHandle(file);
    CreateDirectoryA("folder", NULL);
    DeleteFileA("renamed");
    RemoveDirectoryA("folder");
}

int main(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        if (!SetCurrentDirectoryA(names[i]))
            return 1;
        write();
    }
    HKEY key;
    RegCreateKeyA(HKEY_CURRENT_USER, "Software\\Writer", &key);
    RegSetValueExA(key, "Value", 0, REG_SZ, (const BYTE *)"x", 2);
    RegCloseKey(key);
    puts("written");
    return 0;
}
