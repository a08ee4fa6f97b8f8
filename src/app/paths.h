#pragma once
// Where the files of one gateway are: the configuration, the data, the control socket.
//
// Thread: start of the process only; reads the environment.

#include <string>

#include "base/result.h"

namespace sluice::app {

/// What the command line says; empty: not given.
struct PathOptions {
  std::string config;
  std::string data;
};

struct ConfigPath {
  std::string path;
  bool given = false;  // named by somebody: then it has to exist
};
/// --config, else $SLUICE_CONFIG, else sluice.toml in $CONFIGURATION_DIRECTORY (systemd), else
/// $XDG_CONFIG_HOME/sluice/sluice.toml, else ~/.config/sluice/sluice.toml; for root, where that is
/// not there, /etc/sluice/sluice.toml if it is. kNotFound: no home directory either.
Result<ConfigPath> find_config(const std::string& given);

/// --data, else [store] dir, else $STATE_DIRECTORY (systemd), else $XDG_DATA_HOME/sluice, else
/// ~/.local/share/sluice. Absolute.
Result<std::string> find_data(const std::string& given, const std::string& configured);

/// The same for all names of a directory; "none" if there is none.
std::string identity_of(const std::string& directory);

/// What people attach (src/media).
inline std::string media_directory(const std::string& data) { return data + "/media"; }
/// Beside the file of a backup: its images.
inline std::string media_of_backup(const std::string& file) { return file + ".media"; }

/// The control socket: [server] control_socket, else control.sock in the data directory. kTooLarge
/// if it is longer than a socket's address can be.
Result<std::string> control_socket(const std::string& configured, const std::string& data);

/// Where a process that is to take over comes in: "control.handover" beside "control.sock".
std::string handover_socket(const std::string& control);

/// Makes the folder of a file, 0700 where it makes one.
Result<void> make_folder_of(const std::string& path);

}  // namespace sluice::app
