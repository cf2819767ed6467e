// SPDX-License-Identifier: MIT
#include "capi/files.hpp"

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <system_error>

#include "core/random.hpp"

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <share.h>
#include <sys/stat.h>
#else
#include <fcntl.h>
#include <unistd.h>
#endif

namespace fs = std::filesystem;

namespace pydarts {
namespace {

constexpr int kNames = 100;  // that are tried before we give up

#ifdef _WIN32
int create(const fs::path& path) {
  int file = -1;
  const int flags = _O_CREAT | _O_EXCL | _O_WRONLY | _O_BINARY | _O_NOINHERIT;
  return _wsopen_s(&file, path.c_str(), flags, _SH_DENYWR, _S_IREAD | _S_IWRITE) == 0 ? file : -1;
}
long long write_some(int file, const char* data, std::size_t size) {
  constexpr std::size_t kMost = 1 << 30;
  return _write(file, data, static_cast<unsigned>(size < kMost ? size : kMost));
}
bool sync(int file) { return _commit(file) == 0; }
bool close_file(int file) { return _close(file) == 0; }
void sync_folder(const fs::path&) {}
std::uint64_t process() { return std::uint64_t(_getpid()); }
#else
int create(const fs::path& path) { return open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666); }
long long write_some(int file, const char* data, std::size_t size) { return write(file, data, size); }
bool sync(int file) { return fsync(file) == 0; }
bool close_file(int file) { return close(file) == 0; }
// The new name is safe, too, once the folder is; a folder that cannot be opened or synced has it all the same.
void sync_folder(const fs::path& folder) {
  const int opened = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (opened < 0) return;
  (void)sync(opened);
  (void)close_file(opened);
}
std::uint64_t process() { return std::uint64_t(getpid()); }
#endif

// A file beside `whole`, under a name that nobody else has, which is not left behind.
class Temporary {
 public:
  explicit Temporary(const fs::path& whole) {
    static const char digits[] = "0123456789abcdef";
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    Random random(std::uint64_t(now) ^ process() << 32);
    for (int i = 0; file_ < 0 && i < kNames; ++i) {
      std::string token(8, '0');
      for (char& digit : token) digit = digits[int(16 * random.uniform())];
      fs::path name(".");
      name += whole.filename();
      name += "." + token;
      path_ = whole.parent_path() / name;
      file_ = create(path_);
      if (file_ < 0 && errno != EEXIST) break;
    }
    created_ = file_ >= 0;
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (file_ >= 0) close_file(file_);
    std::error_code ignored;
    if (created_) fs::remove(path_, ignored);
  }

  bool write(const Bytes& bytes) {
    const char* data = static_cast<const char*>(bytes.data);
    for (std::size_t done = 0; created_ && done < bytes.size;) {
      const long long count = write_some(file_, data + done, bytes.size - done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return false;
      done += std::size_t(count);
    }
    return created_;
  }
  bool finish() {
    if (!created_) return false;
    const bool synced = sync(file_), closed = close_file(file_);
    file_ = -1;
    return synced && closed;
  }
  bool rename(const fs::path& whole) {
    std::error_code error;
    fs::rename(path_, whole, error);
    if (!error) created_ = false;
    return !error;
  }

 private:
  fs::path path_;
  int file_ = -1;
  bool created_ = false;
};

}  // namespace

bool replace_file(const fs::path& path, const std::vector<Bytes>& content) {
  Temporary file(path);
  for (const Bytes& bytes : content)
    if (!file.write(bytes)) return false;
  if (!file.finish() || !file.rename(path)) return false;
  sync_folder(path.parent_path());
  return true;
}

}  // namespace pydarts
