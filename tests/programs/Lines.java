import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

/** Answers bytes; the second time when a byte comes on the standard input. */
public class Lines {
    static void answer(OutputStream out, int octet) throws Exception {
        out.write(octet);
    }

    static void talk(Socket mine, Socket other) throws Exception {
        other.getOutputStream().write(1);
        answer(mine.getOutputStream(), mine.getInputStream().read());
        other.getInputStream().read();
    }

    public static void main(String[] words) throws Exception {
        InetAddress here = InetAddress.getLoopbackAddress();
        try (ServerSocket listener = new ServerSocket(0, 5, here);
                Socket other = new Socket(here, listener.getLocalPort());
                Socket mine = listener.accept()) {
            for (int round = 0; round < 20; round++) {
                talk(mine, other);
            }
            System.out.println("ready");
            System.in.read();
            talk(mine, other);
        }
    }
}
