import io.github.linuxforhealth.hl7.HL7ToFHIRConverter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Times LinuxForHealth's converter, warm, over the files that are named: microseconds a message, median of the rounds. */
public class Peer {
    public static void main(String[] files) throws Exception {
        HL7ToFHIRConverter converter = new HL7ToFHIRConverter();
        List<String> messages = new ArrayList<>();
        for (String file : files) {
            String message = Files.readString(Path.of(file), StandardCharsets.UTF_8);
            try {
                if (converter.convert(message).contains("\"Patient\"")) {
                    messages.add(message);
                }
            } catch (UnsupportedOperationException unknownType) {
                continue; // it says so, and how many messages are left is printed below
            }
        }
        double[] rounds = new double[15];
        for (int round = -15; round < rounds.length; round++) {
            long began = System.nanoTime();
            for (String message : messages) {
                converter.convert(message);
            }
            if (round >= 0) {
                rounds[round] = (System.nanoTime() - began) / 1000.0 / messages.size();
            }
        }
        Arrays.sort(rounds);
        System.out.printf("{\"messages\": %d, \"us\": %.1f}%n", messages.size(), rounds[rounds.length / 2]);
    }
}
