//! batpak 0.9.0.

since_0_7!(batpak_0_9);
since_0_8!(batpak_0_9);
since_0_9!(batpak_0_9);
