//! batpak 0.10.0.

since_0_7!(batpak_0_10);
since_0_8!(batpak_0_10);
since_0_9!(batpak_0_10);
