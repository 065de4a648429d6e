//! What `io.toml` in the data folder says of the disk, made into what the shards are told.

use std::ops::RangeInclusive;
use std::path::Path;

use ottla_storage::DiskSettings;
use ottla_tuning::{DiskProfile, Flush};

/// The settings of the disk below `data`, and one line about where they come from. Without a file, or with one that is not
/// understood, these are the defaults: nothing is measured at a start.
pub(super) fn settings(data: &Path) -> DiskSettings {
    match DiskProfile::read(data) {
        Ok(None) => DiskSettings::default(),
        Ok(Some(profile)) => match understood(&profile) {
            Ok(settings) => {
                tracing::info!(
                    durable_write_bytes = settings.durable_write_bytes,
                    write_bytes = settings.write_bytes,
                    write_depth = settings.write_depth,
                    "the disk is written to as io.toml says"
                );
                settings
            }
            Err(why) => defaults(&format!("io.toml is not followed: {why}")),
        },
        Err(error) => defaults(&error.to_string()),
    }
}

fn defaults(why: &str) -> DiskSettings {
    tracing::warn!("{why}; the disk is written to as the defaults say: `ottla tune probe DIR` measures it anew");
    DiskSettings::default()
}

fn understood(profile: &DiskProfile) -> Result<DiskSettings, String> {
    let within = |name: &str, value: usize, range: RangeInclusive<usize>| match range.contains(&value) {
        true => Ok(value),
        false => Err(format!("{name} = {value} is not in {}..={}", range.start(), range.end())),
    };
    let dsync = profile.journal.dsync_bytes_max;
    let dsync = within("journal.dsync_bytes_max", dsync, 0..=DiskSettings::DURABLE_WRITE_BYTES_MAX)?;
    let write_bytes = within("segments.write_bytes", profile.segments.write_bytes, DiskSettings::WRITE_BYTES)?;
    if !write_bytes.is_power_of_two() {
        return Err(format!("segments.write_bytes = {write_bytes} is no power of two"));
    }
    let write_depth = within("segments.write_depth", profile.segments.write_depth, DiskSettings::WRITE_DEPTH)?;
    let durable_write_bytes = match profile.journal.flush {
        Flush::Dsync => dsync,
        Flush::Fdatasync => 0,
    };
    Ok(DiskSettings { durable_write_bytes, write_bytes, write_depth })
}

#[cfg(test)]
mod tests {
    use ottla_tuning::{JournalProfile, SegmentProfile};

    use super::*;

    fn written(
        flush: Flush,
        dsync_bytes_max: usize,
        write_bytes: usize,
        write_depth: usize,
    ) -> Result<DiskSettings, String> {
        let journal = JournalProfile { flush, dsync_bytes_max };
        understood(&DiskProfile::new(journal, SegmentProfile { write_bytes, write_depth }, None))
    }

    #[test]
    fn a_profile_becomes_settings() {
        let settings = written(Flush::Dsync, 65_536, 131_072, 8).unwrap();
        assert_eq!(settings, DiskSettings { durable_write_bytes: 65_536, write_bytes: 131_072, write_depth: 8 });
        assert_eq!(written(Flush::Fdatasync, 65_536, 131_072, 8).unwrap().durable_write_bytes, 0);
        let defaults = DiskSettings::default();
        let same = written(Flush::Dsync, defaults.durable_write_bytes, defaults.write_bytes, defaults.write_depth);
        assert_eq!(same, Ok(defaults), "the defaults are within their own bounds");
    }

    #[test]
    fn what_would_not_do_is_refused() {
        for (profile, why) in [
            (written(Flush::Dsync, 1 << 20, 131_072, 8), "dsync_bytes_max"),
            (written(Flush::Dsync, 4096, 4096, 8), "write_bytes"),
            (written(Flush::Dsync, 4096, 100_000, 8), "no power of two"),
            (written(Flush::Dsync, 4096, 131_072, 0), "write_depth"),
        ] {
            assert!(profile.unwrap_err().contains(why), "{why}");
        }
    }

    #[test]
    fn a_folder_without_a_good_file_has_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(settings(folder.path()), DiskSettings::default());
        std::fs::write(folder.path().join("io.toml"), "version = ").unwrap();
        assert_eq!(settings(folder.path()), DiskSettings::default());
    }
}
