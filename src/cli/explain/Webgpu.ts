/** What `attune doctor --explain webgpu` prints: what that backend needs, in lines that fit any terminal. */
export const explanation: string = `webgpu: the GPU of any vendor, with nothing but npm

1. Two packages, in your project:

     npm install webgpu @tensorflow/tfjs-backend-webgpu@4.22.0

   webgpu brings Dawn, the WebGPU of Chromium, as one prebuilt library for
   Linux, macOS and Windows. Where it says that GLIBCXX_… was not found, the
   system's C++ library is older than that build: try another version of
   webgpu (0.6.2 and 0.4.0 load on Debian 12).

2. A driver that Dawn can use: Metal on macOS and Direct3D 12 on Windows, which
   come with the system, and Vulkan on Linux:

     NVIDIA   comes with the proprietary driver; an installation for computing
              alone (a "headless" or "no-opengl" package) may lack it
     AMD      mesa-vulkan-drivers, Mesa 23 or newer
     Intel    mesa-vulkan-drivers, Mesa 23 or newer

   and in each case the loader, libvulkan.so.1 (the package libvulkan1 on
   Debian and Ubuntu). \`vulkaninfo --summary\` lists what Vulkan finds.

3. In a container the GPU's graphics libraries must be let in, which NVIDIA's
   container toolkit does only when it is asked, and the loader must be there:

     docker run --gpus all \\
       -e NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics …

   For AMD and Intel pass the device on: --device /dev/dri.

4. Of several GPUs Dawn takes the fastest. A part of another one's name in the
   environment chooses that one:

     ATTUNE_WEBGPU_ADAPTER=Radeon

Then \`attune doctor\` shows the GPU by its name. If it says that Dawn found no
usable adapter, Vulkan has no driver, or one that lacks what Dawn asks for; that
of Mesa 22 and older does.

Software Vulkan (Mesa's lavapipe, shown as "llvmpipe") computes on the CPU, far
slower than the backend wasm. It is for tests, and --backend auto never takes
it. On Debian 12 a new enough one is in bookworm-backports:

     apt-get install -t bookworm-backports mesa-vulkan-drivers libvulkan1
`
