//! Drives: which there are, what lies on them, how much of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;
use std::ptr;

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, FindFirstVolumeW, FindNextVolumeW,
    FindVolumeClose, GetDiskFreeSpaceExW, GetDriveTypeW, GetLogicalDrives, GetVolumeInformationW,
    GetVolumePathNamesForVolumeNameW,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::{
    FSCTL_ALLOW_EXTENDED_DASD_IO, GET_LENGTH_INFORMATION, IOCTL_DISK_GET_LENGTH_INFO,
    IOCTL_STORAGE_QUERY_PROPERTY,
};

use super::{bytes_of, last_error, text, wide};

/// Units of the longest name of a file system or volume, with the zero.
const NAME_UNITS: usize = 261;
/// Units of the list of places where one volume stands.
const PLACES_UNITS: usize = 8 << 10;
/// Volumes that are asked for.
const MAX_VOLUMES: usize = 1024;

/// How a drive is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drive {
    Fixed,
    /// A stick, a card, a floppy.
    Removable,
    /// Another machine's.
    Network,
    Optical,
    /// A disk in memory, or nothing that Windows knows.
    Other,
}

/// The letters in use and what they stand for, in order.
pub fn drives() -> Vec<(char, Drive)> {
    // SAFETY: takes no argument and returns a number.
    let used = unsafe { GetLogicalDrives() };
    let letters = ('A'..='Z')
        .enumerate()
        .filter(|(at, _)| used.checked_shr(*at as u32).unwrap_or(0) & 1 == 1);
    letters.map(|(_, letter)| (letter, kind(&format!("{letter}:\\")))).collect()
}

/// The volumes that have no letter, by the names that Windows gave them
/// (`\\?\Volume{…}\`); they may stand in a folder.
pub fn volumes_without_letter() -> Vec<(String, Drive)> {
    let (mut found, mut name) = (Vec::new(), [0_u16; NAME_UNITS]);
    // SAFETY: the buffer has as many units as is said.
    let search = unsafe { FindFirstVolumeW(name.as_mut_ptr(), NAME_UNITS as u32) };
    if search == INVALID_HANDLE_VALUE {
        return found;
    }
    for _ in 0..MAX_VOLUMES {
        let volume = text(&name);
        if !has_letter(&volume) {
            let kind = kind(&volume);
            found.push((volume, kind));
        }
        // SAFETY: an open search; the buffer has as many units as is said.
        if unsafe { FindNextVolumeW(search, name.as_mut_ptr(), NAME_UNITS as u32) } == 0 {
            break;
        }
    }
    // SAFETY: open until here, and closed only here.
    unsafe { FindVolumeClose(search) };
    found
}

/// Whether one of the places where a volume stands is a letter's; so it is taken to be
/// when they are not told.
fn has_letter(volume: &str) -> bool {
    let is_root = |place: &String| place.len() == "C:\\".len() && place.ends_with(":\\");
    places_of(volume).is_none_or(|places| places.iter().any(is_root))
}

/// Where a volume stands, by the name that Windows gave it: `D:\`, `C:\mnt\data\`; `None`
/// where that is not told.
pub fn places_of(volume: &str) -> Option<Vec<String>> {
    let volume = wide(volume);
    let mut places = vec![0_u16; PLACES_UNITS];
    let mut used = 0;
    // SAFETY: `volume` ends with zero; the buffer has as many units as is said.
    let done = unsafe {
        GetVolumePathNamesForVolumeNameW(
            volume.as_ptr(),
            places.as_mut_ptr(),
            PLACES_UNITS as u32,
            &mut used,
        )
    };
    let places = places.split(|unit| *unit == 0).take_while(|place| !place.is_empty());
    (done != 0).then(|| places.map(String::from_utf16_lossy).collect())
}

fn kind(root: &str) -> Drive {
    let root = wide(root);
    // SAFETY: a text that ends with zero and outlives the call.
    match unsafe { GetDriveTypeW(root.as_ptr()) } {
        2 => Drive::Removable,
        3 => Drive::Fixed,
        4 => Drive::Network,
        5 => Drive::Optical,
        _ => Drive::Other,
    }
}

/// The file system below a root folder (`C:\`): `NTFS`.
pub fn file_system(root: &str) -> Option<String> {
    let root = wide(root);
    let mut name = [0_u16; NAME_UNITS];
    let none = ptr::null_mut();
    // SAFETY: `root` ends with zero; the only buffer given is `name`, with its length;
    // those not wanted are null, as the function allows.
    let done = unsafe {
        GetVolumeInformationW(
            root.as_ptr(),
            ptr::null_mut(),
            0,
            none,
            none,
            none,
            name.as_mut_ptr(),
            NAME_UNITS as u32,
        )
    };
    (done != 0).then(|| text(&name))
}

/// Bytes of the volume that holds a folder: all, free in all, free for this user.
pub fn space(folder: &Path) -> Option<(u64, u64, u64)> {
    let folder = wide(folder.to_str()?);
    let (mut mine, mut all, mut free) = (0_u64, 0_u64, 0_u64);
    // SAFETY: `folder` ends with zero; the three numbers outlive the call.
    let done = unsafe { GetDiskFreeSpaceExW(folder.as_ptr(), &mut mine, &mut all, &mut free) };
    (done != 0).then_some((all, free, mine))
}

/// Bytes of a volume opened raw, all of which may be read afterwards.
///
/// # Errors
///
/// When the device does not tell its length.
pub fn length(volume: &File) -> io::Result<u64> {
    let handle = volume.as_raw_handle();
    let mut returned = 0;
    // Without this a file system in use hides what lies behind its last cluster: the
    // copy of its boot sector. Refusal is no harm.
    // SAFETY: an open handle; the question has no input and no output.
    unsafe {
        DeviceIoControl(
            handle,
            FSCTL_ALLOW_EXTENDED_DASD_IO,
            ptr::null(),
            0,
            ptr::null_mut(),
            0,
            &mut returned,
            ptr::null_mut(),
        )
    };
    let mut answer = GET_LENGTH_INFORMATION::default();
    // SAFETY: an open handle; the output is a value of the size that is said.
    let done = unsafe {
        DeviceIoControl(
            handle,
            IOCTL_DISK_GET_LENGTH_INFO,
            ptr::null(),
            0,
            (&raw mut answer).cast(),
            bytes_of::<GET_LENGTH_INFORMATION>(),
            &mut returned,
            ptr::null_mut(),
        )
    };
    let length = u64::try_from(answer.Length).unwrap_or_default();
    if done == 0 || length == 0 { Err(last_error()) } else { Ok(length) }
}

/// Whether the drive hangs on a cable or card that can be pulled: USB, FireWire, SD.
/// Windows calls a disk in a USB case as fixed as any.
pub fn is_external(letter: char) -> bool {
    const BUSES: [u32; 4] = [4, 7, 12, 13];
    const BUS_AT: usize = 28;
    // No right to the volume is needed for the question.
    let mut options = OpenOptions::new();
    options.access_mode(0).share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE);
    let Ok(volume) = options.open(format!(r"\\.\{letter}:")) else { return false };
    // Zeros ask for the device's own description (`StorageDeviceProperty`).
    let question = [0_u32; 3];
    let mut answer = [0_u64; 128];
    let mut returned = 0;
    // SAFETY: an open handle; both buffers have as many bytes as is said.
    let done = unsafe {
        DeviceIoControl(
            volume.as_raw_handle(),
            IOCTL_STORAGE_QUERY_PROPERTY,
            question.as_ptr().cast(),
            bytes_of::<[u32; 3]>(),
            answer.as_mut_ptr().cast(),
            bytes_of::<[u64; 128]>(),
            &mut returned,
            ptr::null_mut(),
        )
    };
    let bytes: Vec<u8> = answer.iter().flat_map(|word| word.to_le_bytes()).collect();
    let bus = bytes.get(BUS_AT..).and_then(|rest| rest.first_chunk()).copied();
    done != 0 && bus.is_some_and(|bus| BUSES.contains(&u32::from_le_bytes(bus)))
}
